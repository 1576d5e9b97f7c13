/** Creates directories in the machine's file system, in a way that terminates on any file system. */
import { mkdirSync, statSync } from 'node:fs'
import { dirname } from 'node:path'

/**
 * Creates a directory and its parents, all with `mode`; succeeds if the directory exists. Node's own `recursive` never
 * returns where a file system answers ENOENT to mkdir(2) in a directory that exists, as /proc and /sys do.
 * @throws the system's error, with the path that it is about
 */
export function makeDirectory(path: string, mode = 0o777): void {
  try {
    mkdirSync(path, { mode })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const above = dirname(path)
    if (code === 'ENOENT' && above !== path && !statSync(above, { throwIfNoEntry: false })) {
      makeDirectory(above, mode)
      // do not try a third time
      mkdirSync(path, { mode })
      return
    }
    // some file systems answer EROFS or EACCES for a directory that exists
    if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) throw error
  }
}
