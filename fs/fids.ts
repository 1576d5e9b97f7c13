/** The fids of one connection. */
import { fail } from './errors.js'
import type { FidState } from './fid.js'
import type { User } from './file.js'
import { LITTLE_FIDS, MAX_FIDS, RESERVED_FIDS } from './limits.js'

/** Whose a fid is before somebody has attached with it. */
export const NOBODY = 'none'

/** By number, with a count of each user's. */
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
   * Whether a user may have one more. Of a connection that several share, a user may have as many as are free; admins are not held to that.
   * The last are for users who have few, also where one who came alone has all others.
   * @throws FsError `too many fids on one connection`
   */
  admit(user: User): void {
    const own = this.#of(user)
    // an afid, and an attach under way, is of nobody yet
    const shared = this.size > own + (user.name === NOBODY ? 0 : this.#of({ name: NOBODY }))
    if (own < LITTLE_FIDS && this.size < MAX_FIDS + (shared ? RESERVED_FIDS : 0)) return
    if (this.size >= MAX_FIDS) throw fail('tooManyFids')
    if (shared && user.role !== 'admin' && own >= MAX_FIDS - this.size)
      throw fail('tooManyFids', `${user.name} has ${own} of them, and others share it`)
  }
}
