import type { Options } from '../common/command.js'
import { fromText, loadConfig } from '../common/config.js'
import type { Invocation } from '../common/invocation.js'
import type { Key } from '../common/settings.js'
import { quietPipe } from '../common/signals.js'
import { type Server, startServer } from './server.js'

/** The settings among the options of a command line, by key. */
export function flagsOf(options: Options): { [K in Key]?: unknown } {
  const { model, engine, slots, workers, mount, listen, auth, join, fingerprint } = options
  return {
    model,
    'engine.kind': engine,
    slots: slots === undefined ? undefined : fromText('slots', slots),
    workers: workers === undefined ? undefined : fromText('workers', workers),
    mount: mount === false ? 'off' : mount === true ? undefined : mount,
    listen,
    auth,
    'join.address': join,
    'join.fingerprint': fingerprint,
  }
}

/** Starts a server by the options of `up`, tells `ready` and whoever started us with `-d`, and stays until it is stopped. */
export async function runServer(io: Invocation, options: Options, ready: (server: Server) => void): Promise<void> {
  const { config } = loadConfig(io.env, flagsOf(options), options.config)
  // A server outlives the terminal or pipe it was started in.
  quietPipe(() => {})
  const { trace, note } = { trace: io.trace, note: (line: string) => io.note(`llamboctl: ${line}`) }
  const server = await startServer({
    config,
    env: io.env,
    note,
    trace,
    signal: io.signal,
    newModel: options.model !== undefined,
  })
  ready(server)
  // A terminal is no such parent. Its directory is not ours to keep busy.
  if (process.send) {
    process.chdir('/')
    process.send({ mounts: server.mounts, addresses: server.addresses })
  }
  await Promise.race([server.shutdown, aborted(io.signal)])
  io.note('stopping …')
  await server.close()
}

/** Resolves when the signal aborts. */
export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise(resolve => signal.addEventListener('abort', () => resolve(), { once: true }))
}
