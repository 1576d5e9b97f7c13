/**
 * Tries out model files in a separate process before a worker loads them, because some crash llama.cpp instead of
 * failing.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, rmSync, statSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { FsError, fail } from '../../api/errors.js'
import { MAX_LINE, parseTrialWord } from '../../api/worker.js'
import { readBounded } from '../../cli/bounded.js'
import { replacePrivate } from '../../cli/private-file.js'
import { version } from '../../cli/version.js'
import type { KvType } from '../../cluster/worker/engine/llama/model.js'
import type { Gpu } from '../../cluster/worker/engine/llama/runtime.js'
import { fileError } from '../../cluster/worker/file-error.js'
import { eachLine } from './lines.js'
import { alone } from './once.js'

/** What a model is tried with: everything that can decide whether it crashes. */
export interface TrialSpec {
  readonly path: string
  readonly gpu: Gpu
  readonly kvType: KvType
  readonly threads?: number
  readonly context: number
}

const program = fileURLToPath(new URL('./trial-process.js', import.meta.url))

/** The context of the trial, in tokens: room for a prompt of one word in any template. */
const CONTEXT = 2048
/**
 * How long the first token may take once the file is loaded, in ms. The weights of a large model are still read from
 * the disk then.
 */
const TOKEN_MS = 10 * 60_000
/** How many lines of the process's output are kept. */
const LINES = 50
/** How many characters of each are kept. */
const LINE = 300
/** The most bytes of a result, which is such a line: UTF-8 takes at most four for a character. */
const MAX_RESULT = 4 * LINE + 1
/** The most results that are kept; each is a file of one line. */
const MOST_RESULTS = 1_000
/** The signals of a crash, as opposed to those that other processes send. */
const own: readonly string[] = ['SIGABRT', 'SIGSEGV', 'SIGBUS', 'SIGILL', 'SIGFPE', 'SIGTRAP', 'SIGSYS']

export interface Trials {
  /** The directory of the results. A file is not tried again until it changes, whether it passed or crashed. */
  readonly dir: string
  readonly env: NodeJS.ProcessEnv
  /** The program that runs the trial; tests set it. */
  readonly program?: string
}

/**
 * Makes sure that a model file can be loaded and used.
 * @param progress called with the share of the file that has been read, 0 to 1
 * @throws FsError `model file is damaged: …` with llama.cpp's last line, for a file that crashed the process, now or in
 *   an earlier trial; the error of the load where it failed otherwise; the signal's reason
 */
export async function tryOut(
  { dir, env, program: tries = program }: Trials,
  spec: Omit<TrialSpec, 'context'>,
  signal: AbortSignal,
  progress: (share: number) => void,
): Promise<void> {
  const result = join(dir, await keyOf(spec))
  const name = basename(spec.path).replace(/\.gguf$/i, '')
  const ends = (why: string) => fail('badModel', `${name} crashes llama.cpp: ${why}; touch the file to try it again`)
  /** Whether an earlier trial passed. @throws FsError where an earlier trial crashed */
  const known = (): boolean => {
    const is = read(result)
    if (is !== undefined && is !== 'ok') throw ends(is)
    return is === 'ok'
  }
  if (known()) return
  // workers that start together find a new file at the same time, and each trial takes the memory of a model
  const done = await alone(`${result}.lock`, signal)
  try {
    if (!known()) await decide()
  } finally {
    done()
  }

  async function decide(): Promise<void> {
    const { died, error, lines } = await attempt(tries, env, { ...spec, context: CONTEXT }, signal, progress)
    signal.throwIfAborted()
    if (error) throw error
    if (died === 'SIGKILL') throw fail('noMemory', `${name}: the system killed the process that test-loaded it`)
    if (died !== undefined && !own.includes(died))
      throw fail('io', `${name}: the process that test-loaded it ended with ${died}: ${lastOf(lines)}`)
    const why = died === undefined ? undefined : lastOf(lines)
    keep(dir, result, why ?? 'ok')
    if (why !== undefined) throw ends(why)
  }
}

interface Attempt {
  /** The signal or the exit code by which the process ended; undefined where the trial passed. */
  readonly died?: string | undefined
  /** The error of the load. */
  readonly error?: FsError | undefined
  /** The last lines that the process wrote to standard error. */
  readonly lines: readonly string[]
}

function attempt(
  tries: string,
  env: NodeJS.ProcessEnv,
  spec: TrialSpec,
  signal: AbortSignal,
  progress: (share: number) => void,
): Promise<Attempt> {
  return new Promise(resolve => {
    // without GGML_NO_BACKTRACE llama.cpp starts a debugger for a stack trace, which takes seconds
    const child = spawn(process.execPath, [tries], { env: { ...env, GGML_NO_BACKTRACE: '1' }, stdio: 'pipe' })
    const lines: string[] = []
    let error: FsError | undefined
    let ok = false
    let timer: NodeJS.Timeout | undefined
    const kill = () => child.kill('SIGKILL')
    signal.addEventListener('abort', kill, { once: true })
    eachLine(
      child.stderr,
      line => {
        if (lines.push(line) > LINES) lines.shift()
      },
      LINE,
    )
    const hear = (line: string) => {
      const told = parseTrialWord(line)
      if (!told) return
      if (told.progress !== undefined) progress(told.progress)
      if (told.ok) ok = true
      if (told.message !== undefined) error = new FsError(told.message, told.errno ?? 0)
      if (told.loaded) {
        const late = () => {
          error = fail('badModel', `it did not produce a token within ${TOKEN_MS / 1000} s`)
          kill()
        }
        timer = setTimeout(late, TOKEN_MS)
      }
    }
    eachLine(child.stdout, hear, MAX_LINE)
    child.once('error', thrown => resolve({ error: fail('io', thrown.message, thrown), lines }))
    child.once('close', (code, by) => {
      clearTimeout(timer)
      signal.removeEventListener('abort', kill)
      resolve({ died: ok ? undefined : (by ?? `code ${code}`), error, lines })
    })
    // standard input stays open, so that the process ends when this one does
    child.stdin.on('error', () => undefined).write(`${JSON.stringify(spec)}\n`)
  })
}

/**
 * The line that says why: an assertion or an exception where there is one, else the last. Paths of the build machine
 * are cut off.
 */
function lastOf(lines: readonly string[]): string {
  const said = lines.filter(line => line.trim() !== '')
  const line =
    said.findLast(line => /GGML_ASSERT|GGML_ABORT|what\(\)/.test(line)) ?? said.at(-1) ?? 'it printed nothing'
  return line.trim().replace(/^\S*\/(?=[^/\s]+:\d+: )/, '')
}

/** The name of a file's result: a hash over what changes when the file does, and over what it is tried with. */
async function keyOf({ path, gpu, kvType }: Omit<TrialSpec, 'context'>): Promise<string> {
  const { dev, ino, size, mtimeNs } = await stat(path, { bigint: true }).catch(error => {
    throw fileError(error, basename(path))
  })
  return createHash('sha256').update(`${version()} ${gpu} ${kvType} ${dev} ${ino} ${size} ${mtimeNs}`).digest('hex')
}

/** Reads a result; undefined where there is none or it cannot be read. */
function read(path: string): string | undefined {
  try {
    const text = readBounded(path, MAX_RESULT).trim()
    // after a power failure a file may hold zeros
    return text.includes('\0') ? undefined : text || undefined
  } catch {
    return undefined
  }
}

/**
 * Keeps a result and removes the oldest where there are too many. Where that fails, the file is tried again each time.
 */
function keep(dir: string, path: string, result: string): void {
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 })
    replacePrivate(path, `${result}\n`)
    const all = readdirSync(dir).map(name => join(dir, name))
    if (all.length <= MOST_RESULTS) return
    const age = new Map(all.map(file => [file, statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0]))
    all.sort((a, b) => age.get(a)! - age.get(b)!)
    for (const file of all.slice(0, all.length - MOST_RESULTS)) rmSync(file, { force: true })
  } catch {
    // a full or read-only disk
  }
}
