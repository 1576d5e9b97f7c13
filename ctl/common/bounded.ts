/** Files of people and of earlier processes are read up to a bound: one of gigabytes, or one that never ends, is refused instead of kept. */
import { closeSync, openSync, readSync } from 'node:fs'
import { fail } from '../../fs/errors.js'

/**
 * A file's text, read as UTF-8.
 * @param most bytes that it may have
 * @throws FsError `file too large` that names file and bound; what open(2) and read(2) fail with
 */
export function readBounded(path: string, most: number): string {
  const file = openSync(path, 'r')
  try {
    const parts: Buffer[] = []
    let length = 0
    for (;;) {
      const part = Buffer.allocUnsafe(Math.min(65_536, most + 1 - length))
      const n = readSync(file, part)
      if (n === 0) return Buffer.concat(parts).toString('utf8')
      length += n
      if (length > most) throw fail('tooLarge', `${path}: at most ${most} bytes`)
      parts.push(part.subarray(0, n))
    }
  } catch (error) {
    // open(2) names the file where it fails, read(2) does not: a directory in its place is seen only then
    if ((error as NodeJS.ErrnoException).syscall === 'read') (error as Error).message += ` '${path}'`
    throw error
  } finally {
    closeSync(file)
  }
}
