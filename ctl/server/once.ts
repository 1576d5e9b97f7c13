/** Locks between processes of one user, for what one of them should do at a time. */
import { randomUUID } from 'node:crypto'
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { exitCode, Failure } from '../../cli/exit.js'
import { bornAt, isAlive } from '../../cli/serverfile.js'

/** How often to check whether the holder of the lock has finished, in ms. */
const POLL_MS = 200
/**
 * What `read` returns for a lock that cannot be read, such as a directory in its place. Such a lock blocks no process.
 */
const UNREADABLE = Symbol('unreadable')

/**
 * Waits until no other process holds a lock, and takes it. A process that was killed no longer holds it. Where the file
 * cannot be made or read, every process goes on at once.
 * @param path the file of the lock
 * @returns releases the lock
 * @throws the signal's reason
 */
export async function alone(path: string, signal: AbortSignal): Promise<() => void> {
  const own = name()
  const beside = `${path}.${randomUUID()}`
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    write(beside, own)
  } catch {
    return () => undefined
  }
  try {
    while (!take(beside, path)) {
      const holder = read(path)
      if (holder === UNREADABLE) return () => undefined
      const process = holder && processOf(holder)
      if (holder !== undefined && !(process && isAlive(process))) clear(path, holder)
      else await sleep(POLL_MS, undefined, { signal }).catch(() => signal.throwIfAborted())
    }
  } finally {
    rmSync(beside, { force: true })
  }
  return () => release(path, own)
}

/**
 * Takes a lock that this process keeps while it runs, and waits for nobody. A process that was killed no longer holds
 * it.
 * @param path the file of the lock, in a directory that exists
 * @param taken makes the failure for the process that holds it
 * @returns releases the lock
 * @throws that failure; Failure with the remedy where the file is damaged, because its process may run; the errors of
 *   open(2)
 */
export function claimLock(path: string, taken: (pid: number) => Failure): () => void {
  const own = name()
  const beside = `${path}.${randomUUID()}`
  write(beside, own)
  try {
    while (!take(beside, path)) {
      const holder = read(path)
      if (holder === undefined) continue
      const process = holder === UNREADABLE ? undefined : processOf(holder)
      if (!process)
        throw new Failure(
          exitCode.failed,
          `${path} is damaged and does not say which process holds this lock; if no such process runs: rm -r ${path}`,
        )
      if (isAlive(process)) throw taken(process.pid)
      clear(path, holder as string)
    }
  } finally {
    rmSync(beside, { force: true })
  }
  return () => release(path, own)
}

/** What the file of a lock says while this process holds it: who that is, and a word that is used once. */
const name = () => `${process.pid} ${bornAt(process.pid) ?? ''} ${randomUUID()}\n`

/** Writes to the disk at once: after a power failure a file that exists is whole. */
const write = (path: string, text: string) => writeFileSync(path, text, { mode: 0o600, flag: 'wx', flush: true })

/** Removes the lock of a process that has ended, unless another process has taken it meanwhile. */
function clear(path: string, holder: string): void {
  const aside = `${path}.${randomUUID()}`
  try {
    // of several processes that find the same lock, one renames it
    renameSync(path, aside)
    if (read(aside) !== holder) linkSync(aside, path)
  } catch (error) {
    if (!['ENOENT', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  } finally {
    rmSync(aside, { force: true })
  }
}

function release(path: string, own: string): void {
  if (read(path) === own) rmSync(path, { force: true })
}

function take(beside: string, path: string): boolean {
  try {
    linkSync(beside, path)
    return true
  } catch (error) {
    // on a file system without hard links every process goes on
    return (error as NodeJS.ErrnoException).code !== 'EEXIST'
  }
}

/** The process that holds the lock; undefined where none does. */
function read(path: string): string | typeof UNREADABLE | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? undefined : UNREADABLE
  }
}

/** The process that a lock names; undefined for a damaged one. */
function processOf(holder: string): { pid: number; born: string | undefined } | undefined {
  const [, pid, born] = /^(\d{1,10}) (\d*) [0-9a-f-]{36}\n$/.exec(holder) ?? []
  return pid === undefined || Number(pid) === 0 ? undefined : { pid: Number(pid), born: born || undefined }
}
