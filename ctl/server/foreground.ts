/** Runs a server in the foreground until it is stopped. */
import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Options } from '../../cli/command.js'
import { fromText, loadConfig } from '../../cli/config.js'
import { exitCode, Failure } from '../../cli/exit.js'
import type { Invocation } from '../../cli/invocation.js'
import type { Key } from '../../cli/settings.js'
import { endsInOrder, guardOutput } from '../../cli/signals.js'
import { aborted } from '../../fs/base/interruptible.js'
import { type Server, startServer } from './server.js'

/** The settings that a command line gives, by key. */
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

/** The model that was typed. A name that ends in .gguf and is a file of the current directory means that file. */
const here = (model: string): string =>
  model.endsWith('.gguf') && statSync(model, { throwIfNoEntry: false })?.isFile() ? resolve(model) : model

/**
 * Starts a server with the options of `up`, calls `ready`, reports to the parent where it was started with `-d`, and
 * returns when the server has been stopped.
 * @throws Failure where the server cannot be started; as `sayHungUp`
 */
export async function runServer(io: Invocation, options: Options, ready: (server: Server) => void): Promise<void> {
  const { config } = loadConfig(io.env, flagsOf(options), options.config)
  // a server goes on when its log is full or its output is no longer read
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
  // Present only where it was started with -d. Its working directory must not keep a file system from being unmounted.
  if (process.send) {
    process.chdir('/')
    process.send({ mounts: server.mounts, addresses: server.addresses })
  }
  await Promise.race([server.shutdown, aborted(io.signal)])
  io.note('stopping …')
  await server.close(hurry)
  sayHungUp(io.signal)
}

/**
 * Throws the signal's reason where that is a hang-up, so that a server that lost its terminal exits with 129; one that
 * was stopped exits with 0.
 */
export function sayHungUp({ aborted, reason }: AbortSignal): void {
  if (aborted && reason instanceof Failure && reason.code === exitCode.hungUp) throw reason
}
