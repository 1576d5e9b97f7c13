/** Attaches of several users to one server: one for each user, kept. */
import { MAX_ATTACHES } from '../base/limits.js'
import type { MaybePromise } from '../base/maybe-promise.js'
import type { User } from '../file.js'
import type { Fid } from './fid.js'

/** The root fids of users. Beyond MAX_ATTACHES the one that was used least recently is clunked. */
export class Attaches<U> {
  /** By key, the least recently used first. */
  readonly #roots = new Map<unknown, MaybePromise<Fid>>()
  /** The connections whose end is waited for. */
  readonly #connections = new WeakSet<Fid['client']>()

  /** @param keyOf what tells users apart */
  constructor(
    readonly attach: (user: U) => Promise<Fid>,
    readonly keyOf: (user: U) => unknown,
  ) {}

  /**
   * A user's root fid: a Fid if the user is attached already, otherwise a promise of it. The caller must not open or
   * clunk it. A refusal is not kept, and neither is a fid whose connection has closed: the next call attaches again.
   */
  root(user: U): MaybePromise<Fid> {
    const key = this.keyOf(user)
    const known = this.#roots.get(key)
    if (known) {
      this.#roots.delete(key)
      this.#roots.set(key, known)
      return known
    }
    const root = this.attach(user).then(
      fid => {
        if (this.#roots.get(key) === root) this.#roots.set(key, fid)
        this.#watch(fid.client)
        return fid
      },
      error => {
        if (this.#roots.get(key) === root) this.#roots.delete(key)
        throw error
      },
    )
    this.#roots.set(key, root)
    if (this.#roots.size > MAX_ATTACHES) {
      const [[oldest, unused]] = this.#roots as unknown as [[unknown, MaybePromise<Fid>]]
      this.#roots.delete(oldest)
      Promise.resolve(unused).then(
        fid => fid.drop(),
        () => {},
      )
    }
    return root
  }

  #watch(client: Fid['client']): void {
    if (this.#connections.has(client)) return
    this.#connections.add(client)
    void client.closed.then(() => {
      for (const [key, root] of this.#roots)
        if (!(root instanceof Promise) && root.client === client) this.#roots.delete(key)
    })
  }
}

/**
 * Attaches of users of a tree of ours. A user of the same name may have one token that may only read and another that
 * may do everything, so a role is an attach of its own.
 */
export const attachesOfUsers = (attach: (user: User) => Promise<Fid>): Attaches<User> =>
  new Attaches(attach, ({ role, uid, name }) => `${role} ${uid} ${name}`)
