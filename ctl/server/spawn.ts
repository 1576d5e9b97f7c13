import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Exit, SpawnSpec, WorkerProcess, WorkerRecord } from '../../cluster/host/process.js'
import { asker } from '../../mnt/asking.js'
import { bornAt, isAlive } from '../common/serverfile.js'
import type { Config } from '../common/settings.js'
import { configOf } from './classes.js'
import { eachLine } from './lines.js'
import type { WorkerSpec } from './worker-process.js'

const program = fileURLToPath(new URL('./worker-process.js', import.meta.url))

/**
 * What of our environment a worker sees: where its files are, its engine's settings, and what the libraries of GPUs and of TLS
 * go by. No tokens, but for the key of an engine that needs one.
 */
const passed =
  /^(PATH|HOME|TMPDIR|LANG|LC_.*|TZ|XDG_.*|LLAMBO_ENGINE.*|LD_LIBRARY_PATH|(CUDA|NVIDIA|HIP|ROCR|VK|GGML)_.*|NODE_EXTRA_CA_CERTS|SSL_CERT_.*)$/

/** What Node says around the error that ends it: places, stacks, its version. */
const around = /^(\s|}|Node\.js v|-----|\d+: |$)/
/** How long what a process said last may come after its end, in ms. */
const LAST_WORDS_MS = 500
/** How often a process that is not our child is looked for, in ms. */
const LOOK_MS = 500

/** What all worker processes of a host are started with. */
export interface Spawning {
  readonly config: Config
  readonly env: NodeJS.ProcessEnv
  /** The name of the machine. */
  readonly host: string
  /** How long they live without their cluster, in ms. */
  readonly orphan_ms: number
  /** Gets what they say, a line each. */
  readonly note: (line: string) => void
  /** The program, where it is not the worker's own, and what runs it. */
  readonly command?: readonly [string, ...string[]]
}

/**
 * Starts worker processes: each in a session of its own, so that neither Ctrl-C in our terminal nor our death ends it, and
 * told on its standard input what it is, so that nobody reads a token in a list of processes.
 */
export function spawner(o: Spawning): (spec: SpawnSpec) => WorkerProcess {
  const { OPENAI_API_KEY } = o.env
  const env = {
    ...Object.fromEntries(Object.entries(o.env).filter(([name]) => passed.test(name))),
  }
  // the key is for the server of the plain settings: a class with a server of its own has its own key, or none
  const keyFor = (config: Config) =>
    config['engine.kind'] === 'openai' && config['engine.url'] === o.config['engine.url'] && OPENAI_API_KEY
      ? { OPENAI_API_KEY }
      : {}
  const [command, ...args] = o.command ?? [process.execPath, program]
  return spec => {
    const config = configOf(o.config, spec.class)
    const own = { ...env, ...keyFor(config) }
    const child = spawn(command, args, { detached: true, env: own, cwd: '/', stdio: ['pipe', 'pipe', 'pipe', 'ipc'] })
    // without a file descriptor left there are none of them (EMFILE), and `error` says so
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
    // one that ends before it has read this says why by its exit
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

/** The process of a worker that a host before this one started, if it still lives. How it will end is not to be known. */
export function adopt({ pid, born }: WorkerRecord): WorkerProcess | undefined {
  const alive = () => isAlive({ pid, born })
  if (!alive()) return undefined
  const exited = new Promise<Exit>(resolve => {
    const timer = setInterval(() => {
      if (alive()) return
      clearInterval(timer)
      resolve({ code: null, signal: null })
    }, LOOK_MS)
  })
  const kill = (signal: NodeJS.Signals) => {
    try {
      if (alive()) process.kill(pid, signal)
    } catch {
      // gone in between
    }
  }
  return { pid, born, exited, kill }
}
