/** The user that this process runs as, also where the system has no entry for that user (`docker run -u 12345`). */
import { accessSync, constants } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { isAbsolute, join } from 'node:path'

/** A user account, as far as the system knows it. */
export interface Account {
  /** The name as id(1) prints it; the number where the user has no name. */
  readonly name: string
  /** -1 where the system has no user numbers. */
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

/**
 * This user's own directory under the temporary one: for runtime files, and for all files where there is no home
 * directory.
 */
export const ownTemporary = (): string => join(tmpdir(), `llambo-${account().uid}`)

/**
 * The home directory: `$HOME`, else the one that the system knows. Docker sets HOME to `/` for a user that it does not
 * know; `/` counts as a home only where the user can write to it.
 * @returns undefined where there is no home
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
