import { randomBytes } from 'node:crypto'
import { closeSync, fstatSync, linkSync, openSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs'
import { fail } from '../../fs/errors.js'

/** Bytes of a file that holds secrets; of tokens it has room for some two thousand, each compared with every one offered. */
export const MAX_PRIVATE = 256 * 1024

/** Reads a file that nobody else may read. @throws FsError with the command that mends it */
export function readPrivate(path: string): string {
  // what is looked at is what is read, whatever comes to have the name meanwhile
  const file = openSync(path, 'r')
  try {
    check(path, file)
    return readFileSync(file, 'utf8')
  } finally {
    closeSync(file)
  }
}

function check(path: string, file: number): void {
  const { mode, uid, size } = fstatSync(file)
  if (mode & 0o077) throw fail('notPermitted', `${path} may be read or changed by others: chmod 600 ${path}`)
  const own = process.getuid?.()
  if (own !== undefined && uid !== own && uid !== 0) {
    throw fail('notPermitted', `${path} belongs to another user (${uid}): chown ${own} ${path}`)
  }
  if (size > MAX_PRIVATE) throw fail('tooLarge', `${path}: at most ${MAX_PRIVATE} bytes`)
}

/** Writes a whole file at once, for us alone, unless it is there. */
export function placePrivate(path: string, text: string): void {
  const beside = `${path}.${randomBytes(8).toString('hex')}`
  writeFileSync(beside, text, { mode: 0o600, flag: 'wx' })
  try {
    linkSync(beside, path)
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code !== 'EEXIST') throw e
  } finally {
    unlinkSync(beside)
  }
}
