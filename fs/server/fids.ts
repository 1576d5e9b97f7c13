/** The table of a connection's fids, which limits how many each user may have. */
import { fail } from '../base/errors.js'
import { LITTLE_FIDS, MAX_FIDS, RESERVED_FIDS } from '../base/limits.js'
import type { User } from '../file.js'
import type { FidState } from './fid.js'

/** The user of a fid on which no one has attached yet. */
export const NOBODY = 'none'

/** Fids by number, with a count per user. */
export class Fids extends Map<number, FidState> {
  readonly #counts = new Map<string, number>()

  override set(number: number, fid: FidState): this {
    this.delete(number)
    this.#counts.set(fid.user.name, this.#of(fid.user) + 1)
    return super.set(number, fid)
  }

  override delete(number: number): boolean {
    const user = this.get(number)?.user
    if (user) {
      const left = this.#of(user) - 1
      if (left > 0) this.#counts.set(user.name, left)
      else this.#counts.delete(user.name)
    }
    return super.delete(number)
  }

  override clear(): void {
    this.#counts.clear()
    super.clear()
  }

  #of({ name }: Pick<User, 'name'>): number {
    return this.#counts.get(name) ?? 0
  }

  /**
   * Checks that a user may have one more fid. On a connection that several users share, a user who is not an admin may
   * hold at most as many fids as are still free. RESERVED_FIDS beyond MAX_FIDS are for users with fewer than
   * LITTLE_FIDS, so that a user who arrives after another has taken all the rest can still work.
   * @throws FsError `too many fids on one connection`
   */
  admit(user: User): void {
    const own = this.#of(user)
    // an afid, and the fid of an attach in progress, has no user yet
    const shared = this.size > own + (user.name === NOBODY ? 0 : this.#of({ name: NOBODY }))
    if (own < LITTLE_FIDS && this.size < MAX_FIDS + (shared ? RESERVED_FIDS : 0)) return
    if (this.size >= MAX_FIDS) throw fail('tooManyFids')
    if (shared && user.role !== 'admin' && own >= MAX_FIDS - this.size)
      throw fail('tooManyFids', `${user.name} has ${own} fids on a connection that other users share; close some`)
  }
}
