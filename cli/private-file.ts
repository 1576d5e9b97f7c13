/** Files that only their owner may read: checked before they are read, and written whole or not at all. */
import { randomBytes } from 'node:crypto'
import { closeSync, fstatSync, linkSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { fail } from '../api/errors.js'

/**
 * The most bytes of a file with secrets. A token file of that size has some two thousand tokens, and each of them is
 * compared with every token that a client offers.
 */
export const MAX_PRIVATE = 256 * 1024

/**
 * Reads a file that must be private to this user.
 * @throws FsError with the command that mends it; the errors of open(2)
 */
export function readPrivate(path: string): string {
  // the open file is checked, not its name, which may mean another file by the time of the read
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
    throw fail('notPermitted', `cannot read ${path}; chown ${process.getuid?.() ?? ''} ${path}; chmod 600 ${path}`)
  }
}

function check(path: string, file: number): void {
  const stat = fstatSync(file)
  const { mode, uid, size } = stat
  if (stat.isDirectory()) throw fail('badArgument', `${path} is a directory; mv ${path} ${path}.old`)
  if (mode & 0o077) throw fail('notPermitted', `${path}: other users can read or change this file; chmod 600 ${path}`)
  const own = process.getuid?.()
  if (own !== undefined && uid !== own && uid !== 0) {
    throw fail('notPermitted', `${path} belongs to another user (${uid}); chown ${own} ${path}`)
  }
  if (size > MAX_PRIVATE) throw fail('tooLarge', `${path}: at most ${MAX_PRIVATE} bytes`)
}

/** Creates a private file, complete from the moment it exists. Does nothing where it exists already. */
export function placePrivate(path: string, text: string): void {
  const beside = `${path}.${randomBytes(8).toString('hex')}`
  try {
    write(beside, text, 'wx')
    linkSync(beside, path)
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code !== 'EEXIST') throw e
  } finally {
    rmSync(beside, { force: true })
  }
}

/**
 * Replaces a private file atomically; of several processes that replace it at once, the last one wins.
 * @throws the errors of open(2) and write(2), with the file's path
 */
export function replacePrivate(path: string, content: string | Uint8Array): void {
  const beside = `${path}.${process.pid}`
  try {
    write(beside, content, 'w')
    renameSync(beside, path)
  } catch (error) {
    rmSync(beside, { force: true })
    throw error
  }
}

function write(path: string, content: string | Uint8Array, flag: 'w' | 'wx'): void {
  try {
    writeFileSync(path, content, { mode: 0o600, flag })
  } catch (error) {
    // Node names the file in an error of open(2) but not in one of write(2), such as that of a full disk
    if ((error as NodeJS.ErrnoException).syscall === 'write') (error as Error).message += ` '${path}'`
    throw error
  }
}
