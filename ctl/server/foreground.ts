import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Options } from '../common/command.js'
import { fromText, loadConfig } from '../common/config.js'
import { exitCode, Failure } from '../common/exit.js'
import type { Invocation } from '../common/invocation.js'
import type { Key } from '../common/settings.js'
import { endsInOrder, guardOutput } from '../common/signals.js'
import { type Server, startServer } from './server.js'

/** The settings among the options of a command line, by key. */
export function flagsOf(options: Options): { [K in Key]?: unknown } {
  const { model, engine, slots, workers, mount, listen, auth, join, fingerprint } = options
  return {
    model: typeof model === 'string' ? here(model) : model,
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

/** A model as it was typed: a name with its ending that is a file of the current directory is that file. */
const here = (model: string): string =>
  model.endsWith('.gguf') && statSync(model, { throwIfNoEntry: false })?.isFile() ? resolve(model) : model

/** Starts a server by the options of `up`, tells `ready` and whoever started us with `-d`, and stays until it is stopped. */
export async function runServer(io: Invocation, options: Options, ready: (server: Server) => void): Promise<void> {
  const { config } = loadConfig(io.env, flagsOf(options), options.config)
  // A server goes on when its log is full or nobody reads it any more.
  guardOutput('ignore')
  const { trace, note } = { trace: io.trace, note: (line: string) => io.note(`llamboctl: ${line}`) }
  const hurry = endsInOrder()
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
  await server.close(hurry)
  sayHungUp(io.signal)
}

/** @throws the signal's reason where it was a hang-up: a server that was stopped ends with 0, one that lost its terminal with 129 */
export function sayHungUp({ aborted, reason }: AbortSignal): void {
  if (aborted && reason instanceof Failure && reason.code === exitCode.hungUp) throw reason
}

/** Resolves when the signal aborts. */
export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise(resolve => signal.addEventListener('abort', () => resolve(), { once: true }))
}
