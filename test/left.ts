/** What a test file leaves behind when it fails or is killed: processes, mounts and folders. Ends and removes them. */

import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** How long the processes of a file that has ended may take to end by themselves, in ms. */
const GRACE_MS = 3000
const POLL_MS = 100
/** A longer path leaves too little of the 107 bytes of a unix socket's path. */
const LONGEST = 40

/** A folder with a folder for each test file, in place of /tmp. `remove` must be called at the end. */
export function folders(): { of(n: number): string; remove(): void } {
  const dir = mkdtempSync(join(tmpdir().length > LONGEST ? '/tmp' : tmpdir(), 'lt-'))
  // some tests are another user
  chmodSync(dir, 0o755)
  return {
    of(n) {
      // no folder's path is the beginning of another's
      const path = join(dir, `${n}`.padStart(3, '0'))
      mkdirSync(path, { mode: 0o755 })
      return path
    },
    remove: () => rmSync(dir, { recursive: true, force: true }),
  }
}

/**
 * Ends the processes, the mounts and the folders that a test file has left.
 * @param dir the file's own folder, which nothing else uses: it is in the environment of its processes, as TMPDIR, as
 *   TEST_FOLDER (plain-children.mjs) or in another variable
 * @returns what was left, in words; empty if nothing was
 */
export async function clean(dir: string): Promise<string> {
  const left: string[] = []
  for (let waited = 0; waited < GRACE_MS && processesOf(dir).length > 0; waited += POLL_MS) await sleep(POLL_MS)
  // a process that is killed may have started another meanwhile
  for (let found: number[]; (found = processesOf(dir)).length > 0 && left.length < 100; await sleep(POLL_MS))
    for (const pid of found) {
      left.push(`process ${pid} (${read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim().slice(-100)})`)
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // it has ended, or is another user's
      }
    }
  // the topmost first
  for (const mount of mountsBelow(dir).reverse()) {
    left.push(`mount ${mount}`)
    const commands = [
      ['umount', '-l', '--', mount],
      ['fusermount3', '-uz', '--', mount],
    ] as const
    commands.some(([program, ...args]) => spawnSync(program, args, { cwd: '/' }).status === 0)
  }
  left.push(...readdirSync(dir).map(name => `folder ${name}`))
  const still = mountsBelow(dir)
  if (still.length > 0) left.push(`${still.join(', ')} cannot be unmounted`)
  else
    try {
      rmSync(dir, { recursive: true, force: true })
    } catch (error) {
      left.push((error as Error).message)
    }
  return left.join(', ')
}

const processesOf = (dir: string): number[] =>
  readdirSync('/proc')
    .filter(name => /^\d+$/.test(name) && read(`/proc/${name}/environ`).includes(dir))
    .map(Number)

const mountsBelow = (dir: string): string[] =>
  read('/proc/self/mounts')
    .split('\n')
    .map(line =>
      (line.split(' ')[1] ?? '').replace(/\\(\d{3})/g, (_, octal) => String.fromCharCode(parseInt(octal, 8))),
    )
    .filter(path => path.startsWith(`${dir}/`))

/** A file of /proc; empty if it cannot be read. */
function read(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}
