/** Mounts a server and keeps it mounted. */

import { accessSync, constants, rmdirSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Tell } from '../../api/events.js'
import { exitCode, explain, Failure } from '../../cli/exit.js'
import { MOUNT } from '../../cli/ns-path.js'
import { Kept } from '../../cluster/host/kept.js'
import { systemClock } from '../../fs/base/clock.js'
import { makeDirectory } from '../../fs/host-directory.js'
import {
  answers,
  clearStale,
  fuseProblem,
  isMounted,
  type MountProcess,
  spawnMount,
  unmount,
  wholly,
} from '../../mnt/mount.js'

/** How long the process of a mount may take to unmount and end, in ms: twice the time that it allows itself. */
const CLOSE_MS = 5_000

export interface MountingOptions {
  readonly address: string
  /** Called with lines for a person. */
  readonly note: (line: string) => void
  /** Called with what happens to the mount, for `events`. */
  readonly told: Tell
  /** Called when the process behind the mount has changed or is gone. */
  readonly changed: () => void
}

/** A mount that is made again when its process ends by itself or another program unmounts it. */
export interface KeptMount {
  readonly dir: string
  /** The number of its process, while there is one. */
  readonly pid: number | undefined
  /** Whether the mount is wanted; false once it was ended on purpose, by `llamboctl umount` or by us. */
  readonly wanted: boolean
  /** Unmounts for good. */
  close(): Promise<void>
}

/**
 * Mounts a server, through its own socket, at the directory `mount`, or with `auto` at the first of `places` that can
 * be used. With `auto` a mount that cannot be made causes a note and the server goes on without it.
 * @returns undefined where there is no mount
 * @throws Failure where a directory was given and cannot be used
 */
export async function mountServer(
  mount: string,
  places: readonly string[],
  o: MountingOptions,
): Promise<KeptMount | undefined> {
  const { note } = o
  if (mount === 'off') return undefined
  if (mount !== 'auto') {
    if (!(await answers(mount)))
      throw new Failure(exitCode.failed, `${mount}: its file system does not answer; mount on another directory`)
    await clearStale(mount)
    makeMountPoint(mount)
    return keep(mount, o)
  }
  const problem = await fuseProblem()
  if (problem !== undefined) {
    note(`not mounted: ${problem}`)
    return undefined
  }
  try {
    return await keep(await place(places), o)
  } catch (error) {
    note(`not mounted: ${explain(error)}`)
    return undefined
  }
}

/** Mounts at a directory and keeps it mounted. @throws Error with the reason where the first attempt fails */
async function keep(at: string, { address, note, told, changed }: MountingOptions): Promise<KeptMount> {
  const request = await wholly({ address, dir: at, ownPlace: true })
  const { dir } = request
  const start = (): MountProcess => {
    const child = spawnMount(request)
    child.ready.then(
      () => told('mounted', { dir, pid: child.pid }),
      () => undefined, // its exit says why
    )
    return child
  }
  const first = start()
  await first.ready
  let wanted = true
  const kept = new Kept({
    clock: systemClock,
    random: Math.random,
    start,
    exited({ said }, cause) {
      wanted = cause !== 'stopped'
      if (!wanted) return told('unmounted', { dir })
      told('mount-lost', { dir, error: said })
      note(`lost the mount at ${dir} (${said}); mounting again`)
    },
    paused: () => undefined,
    hung: silent_s => told('mount-hung', { dir, error: `no answer for ${silent_s} s` }),
    changed,
  })
  kept.adopt(first)
  return {
    dir,
    get pid() {
      return kept.child?.pid
    },
    get wanted() {
      return wanted
    },
    async close() {
      await kept.stop(CLOSE_MS)
      if (await isMounted(dir)) await unmount(dir)
      tidy(dir)
    },
  }
}

/**
 * The first of the directories that this user can use. It is created, and a dead mount there is removed.
 * @throws Error where there is none
 */
async function place(places: readonly string[]): Promise<string> {
  for (const dir of places) {
    try {
      if (!(await answers(dir))) continue
      await clearStale(dir)
      makeMountPoint(dir)
      accessSync(dir, constants.W_OK)
      return dir
    } catch {}
  }
  throw new Error(`cannot create ${places.join(' or ')}; give a directory with --mount`)
}

/**
 * Makes a mount point, with its parents, with the permissions that other mount points have and not those of our umask.
 * @throws Failure that names the directory and what is in the way
 */
export function makeMountPoint(dir: string): void {
  const umask = process.umask(0o022)
  try {
    makeDirectory(dir)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const why =
      code === 'EEXIST' || code === 'ENOTDIR'
        ? `${dir} is not a directory; mount on a directory`
        : `cannot create ${dir} (${explain(error)}); mount on another directory`
    throw new Failure(exitCode.failed, why, { cause: error })
  } finally {
    process.umask(umask)
  }
}

/** Removes our own mount point and its parent directory where they are empty. */
function tidy(dir: string): void {
  try {
    if (dir === MOUNT || dir.endsWith(MOUNT)) {
      rmdirSync(dir)
      rmdirSync(dirname(dir))
    }
  } catch {
    // it stays where it is not empty or not ours
  }
}

/** Removes the mounts that a killed server left; reads below them fail until they are gone. */
export async function clearLeftBehind(dirs: readonly string[]): Promise<void> {
  for (const dir of dirs) {
    await clearStale(dir)
    if (await isMounted(dir)) await unmount(dir)
  }
}
