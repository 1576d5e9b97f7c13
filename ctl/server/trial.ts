/** Model files are tried out in a process of their own before a worker loads them: some end llama.cpp instead of failing. */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { MAX_LINE, parseTrialWord } from '../../api/worker.js'
import type { KvType } from '../../cluster/worker/engine/llama/model.js'
import type { Gpu } from '../../cluster/worker/engine/llama/runtime.js'
import { fileError } from '../../cluster/worker/file-error.js'
import { FsError, fail } from '../../fs/errors.js'
import { readBounded } from '../common/bounded.js'
import { version } from '../common/version.js'
import { eachLine } from './lines.js'
import { alone } from './once.js'

/** What a model is tried with: what could make the difference between a good end and a bad one. */
export interface TrialSpec {
  readonly path: string
  readonly gpu: Gpu
  readonly kvType: KvType
  readonly threads?: number
  readonly context: number
}

const program = fileURLToPath(new URL('./trial-process.js', import.meta.url))

/** Tokens of context it is tried with: room for a prompt of one word in any template. */
const CONTEXT = 2048
/** How long the first token may take once the file is loaded, in ms: a large model whose weights are still read from the disk. */
const TOKEN_MS = 10 * 60_000
/** Lines of what the process said that are kept, and characters of each. */
const LINES = 50
const LINE = 300
/** Bytes of a result: such a line, of which UTF-8 takes four for a character at most. */
const MAX_RESULT = 4 * LINE + 1
/** Results that are kept; each is a file of one line. */
const MOST_RESULTS = 1_000
/** Signals by which a process ends itself. */
const own: readonly string[] = ['SIGABRT', 'SIGSEGV', 'SIGBUS', 'SIGILL', 'SIGFPE', 'SIGTRAP', 'SIGSYS']

export interface Trials {
  /** Where results are kept. A file that passed once is not tried again until it changes, and neither is one that failed. */
  readonly dir: string
  readonly env: NodeJS.ProcessEnv
  /** The program that tries; ours unless given. */
  readonly program?: string
}

/**
 * Makes sure that a model file can be loaded and used.
 * @param progress told how much has been read, 0 to 1
 * @throws FsError `model file is damaged: …` with llama.cpp's last line for a file that ended the process, now or at an earlier
 * try; what else keeps it from being loaded; the signal's reason
 */
export async function tryOut(
  { dir, env, program: tries = program }: Trials,
  spec: Omit<TrialSpec, 'context'>,
  signal: AbortSignal,
  progress: (share: number) => void,
): Promise<void> {
  const result = join(dir, await keyOf(spec))
  const name = basename(spec.path).replace(/\.gguf$/i, '')
  const ends = (why: string) =>
    fail('badModel', `${name} ends llama.cpp: ${why}; touch the file to have it tried again`)
  /** Whether it is known to be good. */
  const known = (): boolean => {
    const is = read(result)
    if (is !== undefined && is !== 'ok') throw ends(is)
    return is === 'ok'
  }
  if (known()) return
  // workers that start together find one new file together: each trial takes the memory of a model
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
    if (died === 'SIGKILL') throw fail('noMemory', `${name}: the system ended the process that tried it out`)
    if (died !== undefined && !own.includes(died))
      throw fail('io', `${name}: the process that tried it out ended by ${died}: ${lastOf(lines)}`)
    const why = died === undefined ? undefined : lastOf(lines)
    keep(dir, result, why ?? 'ok')
    if (why !== undefined) throw ends(why)
  }
}

interface Attempt {
  /** By which signal, or code, the process ended; undefined: well. */
  readonly died?: string | undefined
  /** What the load failed with. */
  readonly error?: FsError | undefined
  /** What the process said. */
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
    // llama.cpp starts a debugger for a stack trace otherwise, which takes seconds
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
          error = fail('badModel', `it gives no token within ${TOKEN_MS / 1000} s`)
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
    // it stays open: the process ends when we do
    child.stdin.on('error', () => undefined).write(`${JSON.stringify(spec)}\n`)
  })
}

/** The line that says why: an assertion or an exception where there is one, else the last. Its path is the builder's own. */
function lastOf(lines: readonly string[]): string {
  const said = lines.filter(line => line.trim() !== '')
  const line = said.findLast(line => /GGML_ASSERT|GGML_ABORT|what\(\)/.test(line)) ?? said.at(-1) ?? 'it said nothing'
  return line.trim().replace(/^\S*\/(?=[^/\s]+:\d+: )/, '')
}

/** A file by what changes when it does, and what it is tried with. */
async function keyOf({ path, gpu, kvType }: Omit<TrialSpec, 'context'>): Promise<string> {
  const { dev, ino, size, mtimeNs } = await stat(path, { bigint: true }).catch(error => {
    throw fileError(error, basename(path))
  })
  return createHash('sha256').update(`${version()} ${gpu} ${kvType} ${dev} ${ino} ${size} ${mtimeNs}`).digest('hex')
}

/** A result that was kept; undefined where there is none, or none that can be read. */
function read(path: string): string | undefined {
  try {
    const text = readBounded(path, MAX_RESULT).trim()
    // zeros: what a file may be after a power failure
    return text.includes('\0') ? undefined : text || undefined
  } catch {
    return undefined
  }
}

/** Keeps a result. Where that cannot be, the file is tried out again each time. */
function keep(dir: string, path: string, result: string): void {
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 })
    const beside = `${path}.${process.pid}`
    writeFileSync(beside, `${result}\n`, { mode: 0o600 })
    renameSync(beside, path)
    const all = readdirSync(dir).map(name => join(dir, name))
    if (all.length <= MOST_RESULTS) return
    const age = new Map(all.map(file => [file, statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0]))
    all.sort((a, b) => age.get(a)! - age.get(b)!)
    for (const file of all.slice(0, all.length - MOST_RESULTS)) rmSync(file, { force: true })
  } catch {
    // a full disk, or one that is read only
  }
}
