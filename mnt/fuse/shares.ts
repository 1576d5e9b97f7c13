/**
 * How many files each user of a shared mount may have open, so that one user cannot use up the fids of its connection.
 */
import { fail } from '../../fs/base/errors.js'
import { MAX_LITTLE_OPEN, MAX_OPEN } from '../limits.js'

/**
 * Counts the files that each user of a shared mount has open. Each is a fid of the one connection, whose fids are
 * limited. A user may open a file as long as they have no more files open than are still free, or have very few. Root
 * and the mounting user are not limited.
 */
export class Shares {
  readonly #open = new Map<number, number>()
  #total = 0

  /** @param free whether a user is not limited */
  constructor(readonly free: (uid: number) => boolean) {}

  /**
   * Counts one more file of this user.
   * @throws FsError `too many fids on one connection` if the user has used up their share
   */
  take(uid: number): void {
    const own = (this.#open.get(uid) ?? 0) + 1
    const rest = MAX_OPEN - this.#total - 1
    const little = own <= MAX_LITTLE_OPEN && this.#total < MAX_OPEN + MAX_LITTLE_OPEN * MAX_LITTLE_OPEN
    if (!this.free(uid) && own > rest && !little)
      throw fail('tooManyFids', `user ${uid} has ${own - 1} files of this mount open; close some`)
    this.#open.set(uid, own)
    this.#total++
  }

  /** Counts one file of this user less. */
  give(uid: number): void {
    const own = this.#open.get(uid) ?? 0
    if (own === 0) return
    this.#total--
    if (own > 1) this.#open.set(uid, own - 1)
    else this.#open.delete(uid)
  }
}
