/** A lock between processes of one user, for work that one of them should do at a time. */
import { randomUUID } from 'node:crypto'
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
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
  const own = `${process.pid} ${bornAt(process.pid) ?? ''} ${randomUUID()}\n`
  const beside = `${path}.${randomUUID()}`
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    writeFileSync(beside, own, { mode: 0o600, flag: 'wx' })
  } catch {
    return () => undefined
  }
  try {
    while (!take(beside, path)) {
      const holder = read(path)
      if (holder === UNREADABLE) return () => undefined
      if (holder !== undefined && !lives(holder) && read(path) === holder) rmSync(path, { force: true })
      else await sleep(POLL_MS, undefined, { signal }).catch(() => signal.throwIfAborted())
    }
  } finally {
    rmSync(beside, { force: true })
  }
  return () => {
    if (read(path) === own) rmSync(path, { force: true })
  }
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

function lives(holder: string): boolean {
  const [, pid, born] = /^(\d{1,10}) (\d*) /.exec(holder) ?? []
  return pid !== undefined && isAlive({ pid: Number(pid), born: born || undefined })
}
