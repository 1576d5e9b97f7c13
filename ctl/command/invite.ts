/** `llamboctl invite`: makes a token and prints the command that lets another machine join the user's server. */
import { isIPv4, isIPv6 } from 'node:net'
import { account } from '../../cli/account.js'
import type { Run } from '../../cli/command.js'
import { exitCode, Failure, usage } from '../../cli/exit.js'
import { ownAddresses } from '../../cli/own-addresses.js'
import { stateDir } from '../../cli/paths.js'
import { isAlive, readServerFile } from '../../cli/serverfile.js'
import { Tokens } from '../../cli/tokens.js'
import { bare, isLoopback, isWildcard } from '../../fs/host-name.js'
import { JOIN_PATH } from '../../mnt/upgrade.js'

const START = 'llamboctl up --listen wss://0.0.0.0:5641/9p'

export const run: Run = async (io, _args, { user = account().name, json }) => {
  if (io.globals.at || io.env.LLAMBO)
    throw usage('invite is for your server on this machine: without --at and $LLAMBO, or on the machine of that one')
  const server = readServerFile(io.env)
  if (!server || !isAlive(server))
    throw new Failure(exitCode.unreachable, `no server of yours is running; start one that others reach with: ${START}`)
  const addresses = server.addresses.flatMap(joinAddresses)
  const [address, ...others] = addresses
  if (address === undefined)
    throw new Failure(
      exitCode.failed,
      server.addresses.some(isOpen)
        ? 'this machine has no address by which others could reach it: connect it to a network, and invite again'
        : `the server listens on this machine only, and no other can join it; llamboctl down, then: ${START}`,
    )
  const tokens = new Tokens(stateDir(io.env))
  const token = tokens.add('join', user, `invited ${new Date().toISOString().slice(0, 10)}`)
  const { fingerprint } = server
  const command = `LLAMBO_TOKEN=${token} llamboctl join ${address}${fingerprint ? ` --fingerprint ${fingerprint}` : ''}`
  if (json) return io.print(`${JSON.stringify({ command, token, user, addresses, fingerprint }, null, 2)}\n`)
  await io.print(`${command}\n`)
  io.note('')
  io.note('Type this on the other machine (in a checkout there it is ./llamboctl).')
  io.note('The token lets machines join this cluster and does nothing else; it is good until')
  io.note(`its line is removed from ${tokens.path}.`)
  if (others.length > 0) io.note(`If that address is not reached, this machine has others: ${others.join(' ')}`)
}

/** Whether other machines could join at this address, provided that this machine is on a network. */
const isOpen = (address: string): boolean => address.startsWith('wss:') && !isLoopback(bare(new URL(address).hostname))

/**
 * The addresses at which other machines can join through a listener: none where they cannot reach it, several where it
 * listens on all addresses of this machine.
 */
export function joinAddresses(address: string): string[] {
  if (!isOpen(address)) return []
  const url = new URL(address)
  const host = bare(url.hostname)
  const own = ownAddresses()
  // a listener on :: accepts IPv4 as well
  const hosts = !isWildcard(host) ? [host] : [...own.filter(isIPv4), ...(host === '::' ? own.filter(isIPv6) : [])]
  return hosts.map(one => `wss://${isIPv6(one) ? `[${one}]` : one}:${url.port || 443}${JOIN_PATH}`)
}
