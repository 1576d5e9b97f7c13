/** Memory accounting of one connection, besides its fids. */
import { fail } from '../base/errors.js'
import type { Holding } from '../base/holding.js'
import { CONNECTION_BYTES, MAX_FIRST_MESSAGE } from '../base/limits.js'
import type { User } from '../file.js'

/** Counts for no user until one attaches, then for the first who did. */
export class Account implements Holding {
  #holding: Holding | undefined
  #bytes = 0
  #owned = false

  /** @throws FsError if there is no room for one more connection */
  constructor(
    readonly hold: ((user: User | undefined) => Holding | undefined) | undefined,
    /** Bytes that the connection itself takes. */
    readonly own = CONNECTION_BYTES,
  ) {
    this.#holding = hold?.(undefined)
    this.#take(own)
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Whether a user has attached. */
  get owned(): boolean {
    return this.#owned
  }

  grow(bytes: number): void {
    if (!this.#owned && this.#bytes + bytes > this.own + MAX_FIRST_MESSAGE)
      throw fail('badMessage', `over ${MAX_FIRST_MESSAGE} bytes before the first attach`)
    this.#take(bytes)
  }

  #take(bytes: number): void {
    this.#holding?.grow(bytes, true)
    this.#bytes += bytes
  }

  owe(bytes: number): boolean {
    if (!this.#owned && this.#bytes + bytes > this.own + MAX_FIRST_MESSAGE) return false
    if (this.#holding?.owe(bytes) === false) return false
    this.#bytes += bytes
    return true
  }

  shrink(bytes: number): void {
    this.#holding?.shrink(bytes)
    this.#bytes -= bytes
  }

  fits(bytes: number): boolean {
    return this.#holding?.fits(bytes) ?? true
  }

  /** Assigns the connection to that user, unless it has a user already. @throws FsError if they have no room for it */
  attached(user: User): void {
    if (this.#owned) return
    const own = this.#holding && this.hold?.(user)
    own?.grow(this.#bytes, true)
    this.#holding?.free()
    this.#holding = own
    this.#owned = true
  }

  free(): void {
    this.#holding?.free()
    this.#holding = undefined
  }
}
