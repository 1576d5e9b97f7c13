/** `llamboctl join`: lends this machine to a server on another machine. */

import type { Options, Run } from '../../cli/command.js'
import { loadConfig } from '../../cli/config.js'
import { exitCode, explain, Failure, usage } from '../../cli/exit.js'
import { parseFingerprint } from '../../cli/fingerprint.js'
import type { Invocation } from '../../cli/invocation.js'
import { joinLog } from '../../cli/paths.js'
import type { Config } from '../../cli/settings.js'
import { endsInOrder, guardOutput } from '../../cli/signals.js'
import { namedToken } from '../../cli/tokens.js'
import type { Upstream } from '../../cluster/host/process.js'
import { parseAddress } from '../../fs/dial.js'
import { checkUpstream } from '../server/upstream.js'

/** How long `join` searches the local network for a server when it is given no address, in ms. */
const SEARCH_MS = 5000

export const run: Run = async (io, [given], options) => {
  if (options.detach) {
    const { startDetached } = await import('../server/detached.js')
    const { said } = await startDetached<{ said: string }>(io, joinLog(io.env))
    return io.note(said)
  }
  const [{ flagsOf, sayHungUp }, { joinCluster }] = await Promise.all([
    import('../server/foreground.js'),
    import('../server/joined.js'),
  ])
  const { config } = loadConfig(io.env, flagsOf(options), options.config)
  const upstream = await upstreamOf(io, given, options, config)
  // the process goes on when its log is full or its output is no longer read
  guardOutput('ignore')
  const hurry = endsInOrder()
  const note = (line: string) => io.note(`llamboctl: ${line}`)
  const begun = (said: string) => {
    if (!process.send) return
    process.chdir('/')
    process.send({ said })
  }
  await joinCluster({ upstream, config, env: io.env, note, begun, signal: io.signal, hurry })
  sayHungUp(io.signal)
}

/**
 * The server to join, with its token. The command line is checked before anything is dialled.
 * @throws Failure (usage, auth, unreachable)
 */
async function upstreamOf(
  io: Invocation,
  given: string | undefined,
  options: Options,
  config: Config,
): Promise<Upstream> {
  const fingerprint = meant(() =>
    options.fingerprint === undefined ? undefined : parseFingerprint(options.fingerprint),
  )
  const pinned = fingerprint === undefined ? {} : { fingerprint }
  const address = given === undefined ? undefined : meant(() => joinEnd(given))
  if (address !== undefined) meant(() => checkUpstream({ address, ...pinned }))
  const token = namedToken(io.env)
  // the unix socket asks for no token
  if (token === undefined && !address?.startsWith('unix!'))
    throw new Failure(
      exitCode.auth,
      'joining requires a token, in $LLAMBO_TOKEN or in a file that $LLAMBO_TOKEN_FILE names; llamboctl invite, on the machine of the server, prints the command to type here',
    )
  const at = address ?? (await searched(io, fingerprint, config))
  return { address: at, ...pinned, ...(token !== undefined && { token }) }
}

/** Turns an error in a value of the command line into a usage error. */
function meant<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw usage(explain(error))
  }
}

/** The address as it was given. A URL without a path gets `/join`, the path at which workers and hosts join. */
function joinEnd(given: string): string {
  const at = parseAddress(given)
  if (at.kind !== 'ws') return given
  const url = new URL(at.url)
  if (url.pathname === '/') url.pathname = '/join'
  return url.href
}

/**
 * Finds the one server that announces on the local network that it can be joined.
 * @throws Failure where there is none, or several
 */
async function searched(io: Invocation, fingerprint: string | undefined, config: Config): Promise<string> {
  const named = 'llamboctl join wss://HOST:5641/join'
  if (config.mdns === 'off') throw usage(`mdns is off, so give the address: ${named}`)
  const { discover, isPrivate } = await import('../server/discovery.js')
  const note = (line: string) => io.note(`llamboctl: ${line}`)
  io.note('looking for a server on the local network …')
  const all = await discover({ ms: SEARCH_MS, note, enough: found => found.fingerprint === fingerprint }, io.signal)
  const meant = fingerprint === undefined ? all : all.filter(found => found.fingerprint === fingerprint)
  const [one, ...others] = meant
  const list = (servers: typeof all) =>
    servers.map(({ name, address, version }) => `${address} (${name}, llambo ${version})`).join(', ')
  if (one === undefined)
    throw new Failure(
      exitCode.unreachable,
      all.length > 0
        ? `no server with that fingerprint announces itself on the local network; servers: ${list(all)}`
        : `no server announces itself on the local network; give the address, as llamboctl invite prints it there: ${named}`,
    )
  if (others.length > 0) throw usage(`found ${meant.length} servers; give the address of one: ${list(meant)}`)
  // An announcement proves nothing: any machine can announce any fingerprint or name. Without a pinned fingerprint a
  // certificate authority has to vouch for the server. For a private address only the user's own authority does that;
  // an attacker who controls a public address can get a certificate for it.
  if (fingerprint === undefined && !isPrivate(new URL(one.address).hostname))
    throw new Failure(
      exitCode.auth,
      `found ${list([one])}, but any machine can announce itself under that name; give the --fingerprint that llamboctl invite prints there`,
    )
  io.note(`found ${list([one])}`)
  return one.address
}
