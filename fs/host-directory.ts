/** Makes directories in the file system of the machine, in a way that ends on any file system. */
import { mkdirSync, statSync } from 'node:fs'
import { dirname } from 'node:path'

/**
 * Makes a directory with what leads to it, all with `mode`. One that is there does as well. Node's own `recursive` never ends
 * where a file system says ENOENT to mkdir(2) in a directory that is there, as /proc and /sys do.
 * @throws the error of the system, with the path it was about
 */
export function makeDirectory(path: string, mode = 0o777): void {
  try {
    mkdirSync(path, { mode })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const above = dirname(path)
    if (code === 'ENOENT' && above !== path && !statSync(above, { throwIfNoEntry: false })) {
      makeDirectory(above, mode)
      // and no third time
      mkdirSync(path, { mode })
      return
    }
    // EROFS and EACCES are said of what is there as well, by some file systems
    if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) throw error
  }
}
