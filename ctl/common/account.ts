/** Who this process runs as, also where the system has no entry for that user (`docker run -u 12345`). */
import { accessSync, constants } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { isAbsolute, join } from 'node:path'

export interface Account {
  /** As id(1) prints it: the number where the user has no name. */
  readonly name: string
  /** -1 where the system has no numbers. */
  readonly uid: number
  /** The home directory that the system knows; undefined where it knows none. */
  readonly home: string | undefined
}

/** The account of this process. */
export function account(): Account {
  try {
    const { username, uid, homedir } = userInfo()
    return { name: username, uid, home: homedir ?? undefined }
  } catch {
    const uid = process.getuid?.() ?? -1
    return { name: String(uid), uid, home: undefined }
  }
}

/** A directory of this user's own under the temporary one: for what runs, and for everything where there is no home. */
export const ownTemporary = (): string => join(tmpdir(), `llambo-${account().uid}`)

/**
 * The home directory: `$HOME`, else the system's. Docker sets HOME to `/` for a user that it does not know: that is no home for
 * one who cannot write there.
 * @returns undefined where there is none
 */
export function home(env: NodeJS.ProcessEnv): string | undefined {
  return [env.HOME, account().home].find(dir => dir && isAbsolute(dir) && (dir !== '/' || writable(dir)))
}

function writable(dir: string): boolean {
  try {
    accessSync(dir, constants.W_OK)
    return true
  } catch {
    return false
  }
}
