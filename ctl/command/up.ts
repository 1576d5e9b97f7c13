import { fromText, loadConfig } from '../common/config.js'
import type { Key } from '../common/settings.js'
import { quietPipe } from '../common/signals.js'
import type { Invocation } from '../invocation.js'
import { startDetached } from '../server/detached.js'
import { type Server, startServer } from '../server/server.js'
import type { Options, Run } from './command.js'

/** The settings among the options of a command line, by key. */
export function flagsOf(options: Options): { [K in Key]?: unknown } {
  const { model, engine, slots, mount, listen, auth } = options
  return {
    model,
    'engine.kind': engine,
    slots: slots === undefined ? undefined : fromText('slots', slots),
    mount: mount === false ? 'off' : mount === true ? undefined : mount,
    listen,
    auth,
  }
}

/** Says where a server that has started is. */
export function announce(io: Invocation, { mounts, addresses }: Pick<Server, 'mounts' | 'addresses'>): void {
  const { bold } = io.colors(io.stderr)
  for (const dir of mounts) io.note(`mounted at ${bold(dir)}`)
  for (const address of addresses) io.note(`listening on ${address}`)
}

export const run: Run = async (io, _args, options) => {
  const { config } = loadConfig(io.env, flagsOf(options), options.config)
  if (options.detach) return announce(io, await startDetached(io))
  // A server outlives the terminal or pipe it was started in.
  quietPipe(() => {})
  const { trace, note } = { trace: io.trace, note: (line: string) => io.note(`llamboctl: ${line}`) }
  const server = await startServer({ config, env: io.env, note, trace, signal: io.signal })
  announce(io, server)
  // Told to whoever started us with -d; a terminal is no such parent. Its directory is not ours to keep busy.
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
