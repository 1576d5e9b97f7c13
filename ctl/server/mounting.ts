import { accessSync, constants, rmdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { makeDirectory } from '../../fs/host-directory.js'
import { clearStale, fuseProblem, isMounted, startMount, unmount } from '../../mnt/mount.js'
import { exitCode, explain, Failure } from '../common/exit.js'
import { MOUNT } from '../common/npath.js'

/**
 * Mounts a server, by its own socket, at a directory, or with `auto` at the first of `places` that can be had. Then a machine without FUSE is told so and served all the same; a
 * directory that was asked for must work.
 * @returns the mount point, or undefined where there is none
 */
export async function mountServer(
  mount: string,
  places: readonly string[],
  address: string,
  note: (line: string) => void,
): Promise<string | undefined> {
  if (mount === 'off') return undefined
  if (mount !== 'auto') {
    await clearStale(mount)
    makeMountPoint(mount)
    return (await startMount({ address, dir: mount, ownPlace: true })).dir
  }
  const problem = await fuseProblem()
  if (problem !== undefined) {
    note(`not mounted: ${problem}`)
    return undefined
  }
  try {
    const dir = await place(places)
    return (await startMount({ address, dir, ownPlace: true })).dir
  } catch (error) {
    note(`not mounted: ${explain(error)}`)
    return undefined
  }
}

/** The first of the directories that this user may have; made, and rid of a mount whose server is gone. */
async function place(places: readonly string[]): Promise<string> {
  for (const dir of places) {
    try {
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

/** Unmounts, and takes the directory away again where that leaves nothing else. */
export async function unmountAll(dirs: readonly string[]): Promise<void> {
  for (const dir of dirs) {
    await unmount(dir)
    try {
      if (dir === MOUNT || dir.endsWith(MOUNT)) {
        rmdirSync(dir)
        rmdirSync(dirname(dir))
      }
    } catch {
      // not empty, or not ours: it stays
    }
  }
}

/** Unmounts what a server that was killed had mounted: reads below it fail until it is gone. */
export async function clearLeftBehind(dirs: readonly string[]): Promise<void> {
  for (const dir of dirs) {
    await clearStale(dir)
    if (await isMounted(dir)) await unmount(dir)
  }
}
