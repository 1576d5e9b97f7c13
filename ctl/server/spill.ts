/** Keeps long answers and transcripts on the disk, in a directory of this process below the state directory. */
import { constants, mkdirSync, readdirSync, rmSync, statfsSync } from 'node:fs'
import { open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { privateDir, spillDir } from '../../cli/paths.js'
import { bornAt, isAlive } from '../../cli/serverfile.js'
import { MAX_SPILL, SPILL_SHARE } from '../../cluster/root/limits.js'
import type { SpillDisk } from '../../cluster/root/spills.js'

const { O_CREAT, O_NOFOLLOW, O_RDONLY, O_TRUNC, O_WRONLY } = constants

/** How often the removal of the directory is tried again at the end, because a write in progress may add to it. */
const REMOVE_TRIES = 3

/**
 * Removes what killed servers have left and makes a directory for this one. Where that fails, every write fails with
 * the reason. A file is open only while it is read or written, so 10,000 answers need no descriptors.
 */
export function spillDisk(env: NodeJS.ProcessEnv): SpillDisk & { close(): Promise<void> } {
  const all = spillDir(env)
  const dir = join(all, `${process.pid}-${bornAt(process.pid) ?? ''}`)
  let problem: Error | undefined
  let limit = MAX_SPILL
  try {
    privateDir(all)
    for (const name of readdirSync(all)) {
      const [, pid, born] = /^(\d+)-(\d*)$/.exec(name) ?? []
      if (pid === undefined || (Number(pid) !== process.pid && isAlive({ pid: Number(pid), born: born || undefined })))
        continue
      rmSync(join(all, name), { recursive: true, force: true })
    }
    mkdirSync(dir, { mode: 0o700 })
    const { bavail, bsize } = statfsSync(dir)
    limit = Math.min(MAX_SPILL, Math.floor(bavail * bsize * SPILL_SHARE))
  } catch (error) {
    problem = error as Error
  }
  return {
    limit,
    async write(name, offset, pieces) {
      if (problem) throw problem
      const how = offset === 0 ? O_WRONLY | O_CREAT | O_TRUNC : O_WRONLY
      const file = await open(join(dir, name), how | O_NOFOLLOW, 0o600)
      try {
        let at = offset
        for (const piece of pieces)
          for (let done = 0; done < piece.length; ) {
            const { bytesWritten } = await file.write(piece, done, piece.length - done, at)
            done += bytesWritten
            at += bytesWritten
          }
      } catch (error) {
        await file.truncate(offset).catch(() => undefined)
        throw error
      } finally {
        await file.close()
      }
    },
    async read(name, offset, count) {
      const file = await open(join(dir, name), O_RDONLY | O_NOFOLLOW)
      try {
        const bytes = new Uint8Array(count)
        let done = 0
        while (done < count) {
          const { bytesRead } = await file.read(bytes, done, count - done, offset + done)
          if (bytesRead === 0) break
          done += bytesRead
        }
        return bytes.subarray(0, done)
      } finally {
        await file.close()
      }
    },
    remove: name => rm(join(dir, name), { force: true }),
    close() {
      problem = new Error('the server is stopping')
      return rm(dir, { recursive: true, force: true, maxRetries: REMOVE_TRIES })
    },
  }
}
