/** Starts worker processes, and takes over those that a previous host started. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { bornAt, isAlive } from '../../cli/serverfile.js'
import type { Config } from '../../cli/settings.js'
import type { Exit, SpawnSpec, WorkerProcess, WorkerRecord } from '../../cluster/host/process.js'
import { asker } from '../../mnt/asking.js'
import { configOf } from './classes.js'
import { eachLine } from './lines.js'
import type { WorkerSpec } from './worker-process.js'

const program = fileURLToPath(new URL('./worker-process.js', import.meta.url))

/**
 * The variables of our environment that a worker gets: where its files are, the settings of its engine, and those of
 * the GPU and TLS libraries. It gets no tokens, except the key of an engine that needs one.
 */
const passed =
  /^(PATH|HOME|TMPDIR|LANG|LC_.*|TZ|XDG_.*|LLAMBO_ENGINE.*|LD_LIBRARY_PATH|(CUDA|NVIDIA|HIP|ROCR|VK|GGML)_.*|NODE_EXTRA_CA_CERTS|SSL_CERT_.*)$/

/** Lines that Node prints around a fatal error: source lines, the stack, its version. */
const around = /^(\s|}|Node\.js v|-----|\d+: |$)/
/** How long the last output of a process may take to arrive after its exit, in ms. */
const LAST_WORDS_MS = 500
/** How often to check whether a process that is not our child still runs, in ms. */
const POLL_MS = 500

/** What all worker processes of a host have in common. */
export interface Spawning {
  readonly config: Config
  readonly env: NodeJS.ProcessEnv
  /** The name of the machine. */
  readonly host: string
  /** How long they live without their cluster, in ms. */
  readonly orphan_ms: number
  /** Called with each line that they write to standard error. */
  readonly note: (line: string) => void
  /** The command to run in place of the worker's own program; tests set it. */
  readonly command?: readonly [string, ...string[]]
}

/**
 * Makes the function that starts a worker process. Each has a session of its own, so that neither Ctrl-C in our
 * terminal nor our death ends it, and reads its specification from standard input, so that no token appears in a list
 * of processes.
 */
export function spawner(o: Spawning): (spec: SpawnSpec) => WorkerProcess {
  const { OPENAI_API_KEY } = o.env
  const env = {
    ...Object.fromEntries(Object.entries(o.env).filter(([name]) => passed.test(name))),
  }
  // the key belongs to the server of the plain settings; a class with another server has its own key, or none
  const keyFor = (config: Config) =>
    config['engine.kind'] === 'openai' && config['engine.url'] === o.config['engine.url'] && OPENAI_API_KEY
      ? { OPENAI_API_KEY }
      : {}
  const [command, ...args] = o.command ?? [process.execPath, program]
  return spec => {
    const config = configOf(o.config, spec.class)
    const own = { ...env, ...keyFor(config) }
    const child = spawn(command, args, { detached: true, env: own, cwd: '/', stdio: ['pipe', 'pipe', 'pipe', 'ipc'] })
    // where no file descriptor is left (EMFILE) the pipes are missing, and `error` reports that
    const { stdin, stdout, stderr } = child as Partial<typeof child>
    let said: string | undefined
    const exited = new Promise<Exit>(resolve => {
      child.once('error', error => resolve({ code: null, signal: null, said: error.message }))
      child.once('exit', (code, signal) => {
        const done = () => resolve({ code, signal, said })
        child.once('close', done)
        setTimeout(done, LAST_WORDS_MS)
      })
    })
    const told: WorkerSpec = { ...spec, host: o.host, config, orphan_ms: o.orphan_ms }
    // a process that ends before it has read this reports the reason at its exit
    stdin?.on('error', () => {}).end(`${JSON.stringify(told)}\n`)
    eachLine(stderr, line => {
      o.note(`worker ${spec.id.slice(0, 8)}: ${line}`)
      if (!around.test(line)) said = line
    })
    const ready = new Promise<void>(resolve => eachLine(stdout, line => line === 'ready' && resolve()))
    const { pid } = child
    const born = pid === undefined ? undefined : bornAt(pid)
    return { pid, born, ready, exited, ask: asker(child), kill: signal => child.kill(signal) }
  }
}

/**
 * Takes over a worker that a previous host started; undefined where it no longer runs. Its exit code cannot be known.
 */
export function adopt({ pid, born }: WorkerRecord): WorkerProcess | undefined {
  const alive = () => isAlive({ pid, born })
  if (!alive()) return undefined
  const exited = new Promise<Exit>(resolve => {
    const timer = setInterval(() => {
      if (alive()) return
      clearInterval(timer)
      resolve({ code: null, signal: null })
    }, POLL_MS)
  })
  const kill = (signal: NodeJS.Signals) => {
    try {
      if (alive()) process.kill(pid, signal)
    } catch {
      // it ended in between
    }
  }
  return { pid, born, exited, kill }
}
