import { accessSync, constants, rmdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { Kept } from '../../cluster/host/kept.js'
import { systemClock } from '../../fs/clock.js'
import { makeDirectory } from '../../fs/host-directory.js'
import type { Value } from '../../fs/quote.js'
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
import { exitCode, explain, Failure } from '../common/exit.js'
import { MOUNT } from '../common/npath.js'

/** How long a mount's process may take to unmount and end, in ms: twice what it gives itself. */
const CLOSE_MS = 5_000

export interface MountingOptions {
  readonly address: string
  /** What a person should know. */
  readonly note: (line: string) => void
  /** Gets what becomes of the mount, for `events`. */
  readonly told: (kind: string, attrs: Record<string, Value | undefined>) => void
  /** The process behind it is another, or is there no more. */
  readonly changed: () => void
}

/** A mount that is kept: made again when its process ends or somebody else unmounts it. */
export interface KeptMount {
  readonly dir: string
  /** Its process, while there is one. */
  readonly pid: number | undefined
  /** Whether it is to be there: not once it was ended on purpose, by `llamboctl umount` or by us. */
  readonly wanted: boolean
  /** Unmounts for good. */
  close(): Promise<void>
}

/**
 * Mounts a server, by its own socket, at a directory, or with `auto` at the first of `places` that can be had. Then a machine without FUSE is told so and served all the same; a
 * directory that was asked for must work.
 * @returns undefined where there is no mount
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

/** Mounts there, and sees to it that it stays so. @throws Error with what is in the way of the first attempt */
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
      note(`the mount at ${dir} is lost (${said}) and is made again`)
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

/** The first of the directories that this user may have; made, and rid of a mount whose server is gone. */
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
  throw new Error(`${places.join(' and ')} cannot be made; give a directory with --mount`)
}

/**
 * Makes the directory, with what leads to it, as others' mount points are: not by our umask.
 * @throws Failure naming the directory and what is in the way
 */
export function makeMountPoint(dir: string): void {
  const umask = process.umask(0o022)
  try {
    makeDirectory(dir)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const why =
      code === 'EEXIST' || code === 'ENOTDIR'
        ? 'is not a directory; mount on one'
        : `cannot be made (${explain(error)}); mount on another directory`
    throw new Failure(exitCode.failed, `${dir} ${why}`, { cause: error })
  } finally {
    process.umask(umask)
  }
}

/** Takes our own mount point away again where that leaves nothing else. */
function tidy(dir: string): void {
  try {
    if (dir === MOUNT || dir.endsWith(MOUNT)) {
      rmdirSync(dir)
      rmdirSync(dirname(dir))
    }
  } catch {
    // not empty, or not ours: it stays
  }
}

/** Unmounts what a server that was killed had mounted: reads below it fail until it is gone. */
export async function clearLeftBehind(dirs: readonly string[]): Promise<void> {
  for (const dir of dirs) {
    await clearStale(dir)
    if (await isMounted(dir)) await unmount(dir)
  }
}
