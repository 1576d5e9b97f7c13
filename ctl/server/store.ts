/** What a server keeps over restarts, as small files. */
import { constants, readdirSync } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { MAX_SAVED } from '../../api/session.js'
import { setAside } from '../../cli/aside.js'
import { readBounded } from '../../cli/bounded.js'
import type { Store } from '../../cluster/orchestrator/saved.js'
import { makeDirectory } from '../../fs/host-directory.js'

/**
 * The most bytes of a file. A session is the longest; the bytes that its characters beyond ASCII take are far fewer
 * than those that the escapes of its JSON may take.
 */
const MAX_KEPT = MAX_SAVED

const { O_APPEND, O_NOFOLLOW, O_WRONLY } = constants
const proper = /^[a-z0-9-]{1,64}$/

/**
 * Keeps small texts as files of a directory that only its owner may read. A text is replaced atomically or appended to,
 * and is on the disk when the promise resolves.
 */
export function fileStore(dir: string): Store {
  makeDirectory(dir, 0o700)
  return {
    read(name) {
      try {
        return readBounded(join(dir, name), MAX_KEPT)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
        throw error
      }
    },
    async write(name, text) {
      const path = join(dir, name)
      const file = await open(`${path}.new`, 'w', 0o600)
      try {
        await file.writeFile(text)
        await file.sync()
      } finally {
        await file.close()
      }
      await rename(`${path}.new`, path)
    },
    async append(name, text) {
      const file = await open(join(dir, name), O_WRONLY | O_APPEND | O_NOFOLLOW)
      try {
        await file.writeFile(text)
        await file.sync()
      } finally {
        await file.close()
      }
    },
    remove: name => rm(join(dir, name), { force: true }),
    list: () => readdirSync(dir).filter(name => proper.test(name)),
    setAside: name => setAside(join(dir, name)),
  }
}
