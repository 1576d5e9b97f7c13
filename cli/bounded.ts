/**
 * Reads files of people and of earlier processes up to a bound: a file of gigabytes, or one that never ends, is refused
 * instead of read into memory.
 */
import { closeSync, openSync, readSync } from 'node:fs'
import { fail } from '../api/errors.js'

/**
 * Reads a file as UTF-8.
 * @param most the most bytes that the file may have
 * @throws FsError `file too large`, which names the file and the bound; the errors of open(2) and read(2), with the
 *   file's path
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
    // Node names the file in an error of open(2) but not in one of read(2), which is where a directory fails
    if ((error as NodeJS.ErrnoException).syscall === 'read') (error as Error).message += ` '${path}'`
    throw error
  } finally {
    closeSync(file)
  }
}
