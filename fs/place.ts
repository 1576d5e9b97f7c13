/** Checks whether files and sockets can be trusted because of the directory that they are in. */
import { lstatSync } from 'node:fs'
import { fail } from './base/errors.js'

/**
 * Refuses a directory in which another user could have put the files that we look for there: one that belongs to
 * another user, one that others may write to, or a symbolic link, which leads wherever its creator wants. In a shared
 * temporary directory anyone may create a name before we do.
 *
 * Root is no exception: in another user's directory, root would send its prompts to that user's programs. A directory
 * that does not exist is accepted, because nothing is in it.
 * @throws FsError `permission denied` with the remedy
 */
export function checkPlace(dir: string): void {
  const own = process.getuid?.()
  const found = own === undefined ? undefined : lstatSync(dir, { throwIfNoEntry: false })
  if (!found) return
  const refuse = (why: string) => fail('notPermitted', `${dir}: ${why}`)
  if (!found.isDirectory()) throw refuse('not a directory; remove it')
  if (found.uid !== own && found.uid !== 0) {
    throw refuse(
      `belongs to another user (${found.uid}); set XDG_RUNTIME_DIR to a directory of your own, or unset it and name the server with --at`,
    )
  }
  if (found.mode & 0o022) throw refuse(`other users may write to it; chmod 700 ${dir}`)
}
