import { randomBytes } from 'node:crypto'
import { closeSync, fstatSync, linkSync, openSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs'
import { fail } from '../../fs/errors.js'

/** Bytes of a file that holds secrets; of tokens it has room for some two thousand, each compared with every one offered. */
export const MAX_PRIVATE = 256 * 1024

/** Reads a file that nobody else may read. @throws FsError with the command that mends it */
export function readPrivate(path: string): string {
  // what is looked at is what is read, whatever comes to have the name meanwhile
  const file = opened(path)
  try {
    check(path, file)
    return readFileSync(file, 'utf8')
  } finally {
    closeSync(file)
  }
}

function opened(path: string): number {
  try {
    return openSync(path, 'r')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EACCES') throw error
    throw fail('notPermitted', `${path} cannot be read: chown ${process.getuid?.() ?? ''} ${path}; chmod 600 ${path}`)
  }
}

function check(path: string, file: number): void {
  const stat = fstatSync(file)
  const { mode, uid, size } = stat
  if (stat.isDirectory()) throw fail('badArgument', `${path} is a directory: mv ${path} ${path}.old`)
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
