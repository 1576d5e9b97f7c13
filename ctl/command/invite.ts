/** `llamboctl invite`: makes a token and prints the command that lets another machine join the user's server. */

import { isIPv4, isIPv6 } from 'node:net'
import { account } from '../../cli/account.js'
import type { Run } from '../../cli/command.js'
import { calledAs, exitCode, Failure, usage } from '../../cli/exit.js'
import { ownAddresses } from '../../cli/own-addresses.js'
import { stateDir } from '../../cli/paths.js'
import { NOT_RUNNING } from '../../cli/phrases.js'
import { isAlive, readServerFile } from '../../cli/serverfile.js'
import { Tokens } from '../../cli/tokens.js'
import { bare, isLoopback, isWildcard } from '../../fs/host-name.js'
import { JOIN_PATH } from '../../mnt/upgrade.js'

const START = 'llamboctl up --listen wss://0.0.0.0:5641/9p'

export const run: Run = async (io, _args, { user = account().name, json }) => {
  if (io.globals.at || io.env.LLAMBO)
    throw usage(
      'invite is for your server on this machine; omit --at and unset LLAMBO, or run it on the machine of that server',
    )
  const server = readServerFile(io.env)
  if (!server || !isAlive(server))
    throw new Failure(exitCode.unreachable, `${NOT_RUNNING}; to start one that other machines can reach: ${START}`)
  const addresses = server.addresses.flatMap(joinAddresses)
  const [address, ...others] = addresses
  if (address === undefined)
    throw new Failure(
      exitCode.failed,
      server.addresses.some(isOpen)
        ? 'this machine has no address that other machines can reach; connect it to a network, and invite again'
        : `the server listens on this machine only, so other machines cannot join it; llamboctl down, then: ${START}`,
    )
  const tokens = new Tokens(stateDir(io.env))
  const token = tokens.add('join', user, `invited ${new Date().toISOString().slice(0, 10)}`)
  const { fingerprint } = server
  const name = calledThere(io.env)
  const command = `LLAMBO_TOKEN=${token} ${name} join ${address}${fingerprint ? ` --fingerprint ${fingerprint}` : ''}`
  if (json) return io.print(`${JSON.stringify({ command, token, user, addresses, fingerprint }, null, 2)}\n`)
  await io.print(`${command}\n`)
  io.note('')
  const other =
    name === './llamboctl' ? 'where llambo is installed there: llamboctl' : 'in a checkout there: ./llamboctl'
  io.note(`Type this on the other machine (${other}).`)
  io.note('The token only lets machines join this cluster. It is valid until')
  io.note(`its line is removed from ${tokens.path}.`)
  if (others.length > 0)
    io.note(`If that address cannot be reached, try another one of this machine: ${others.join(' ')}`)
}

/** How llamboctl is called on another machine that has it as this one has. The path of a checkout here says nothing. */
function calledThere(env: NodeJS.ProcessEnv): string {
  const here = calledAs(env)
  return here.endsWith('/llamboctl') ? './llamboctl' : here
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
