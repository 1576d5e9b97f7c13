/** What several processes of one user want done, done by one of them at a time. */
import { randomUUID } from 'node:crypto'
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { bornAt, isAlive } from '../common/serverfile.js'

/** How often it is looked whether the one before us has done, in ms. */
const LOOK_MS = 200
/** A directory in the lock's place, say: it holds nobody back. */
const UNREADABLE = Symbol('unreadable')

/**
 * Waits until no other process holds that lock, and takes it. One that was killed holds it no longer. Where no file can be made or read
 * everybody goes on at once.
 * @param path of a file that stands for the lock
 * @returns what gives it back
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
      else await sleep(LOOK_MS, undefined, { signal }).catch(() => signal.throwIfAborted())
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
    // a file system without links: everybody goes on
    return (error as NodeJS.ErrnoException).code !== 'EEXIST'
  }
}

/** Who holds it; undefined where nobody does any more. */
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
