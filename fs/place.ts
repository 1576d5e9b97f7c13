/** Whether files and sockets can be trusted by the directory they lie in. */
import { lstatSync } from 'node:fs'
import { fail } from './errors.js'

/**
 * Refuses a directory in which another user could have put what we look for there: one that is theirs, that they may write in, or a
 * symbolic link, which leads where its maker wants. Under a shared temporary directory anybody may make a name before we do.
 *
 * Root is no exception: in another user's directory root would send its prompts to that user's programs.
 * A directory that is not there passes: nothing is in it.
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
  if (found.mode & 0o022) throw refuse(`others may write in it; chmod 700 ${dir}`)
}
