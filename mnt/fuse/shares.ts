import { fail } from '../../fs/errors.js'
import { MAX_LITTLE_OPEN, MAX_OPEN } from '../limits.js'

/**
 * What each user of a shared mount has open. All are fids of one connection, which has a bound: a user may have open as many as are
 * free, so that nobody takes them all. Root and whoever mounted are not held to that.
 */
export class Shares {
  readonly #open = new Map<number, number>()
  #total = 0

  /** @param free whose programs may open what the connection gives */
  constructor(readonly free: (uid: number) => boolean) {}

  /** Counts one more. @throws FsError `too many fids on one connection` where the user has their share */
  take(uid: number): void {
    const own = (this.#open.get(uid) ?? 0) + 1
    const rest = MAX_OPEN - this.#total - 1
    const little = own <= MAX_LITTLE_OPEN && this.#total < MAX_OPEN + MAX_LITTLE_OPEN * MAX_LITTLE_OPEN
    if (!this.free(uid) && own > rest && !little)
      throw fail('tooManyFids', `user ${uid} has ${own - 1} files of this mount open; close some`)
    this.#open.set(uid, own)
    this.#total++
  }

  give(uid: number): void {
    const own = this.#open.get(uid) ?? 0
    if (own === 0) return
    this.#total--
    if (own > 1) this.#open.set(uid, own - 1)
    else this.#open.delete(uid)
  }
}
