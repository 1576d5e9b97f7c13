import { fail } from '../../fs/errors.js'
import type { User } from '../../fs/file.js'
import type { Holding } from '../../fs/holding.js'

const MiB = 1024 * 1024

/**
 * How many times what is free a user may hold: 2 leaves a third for the others where one user takes all that they can get, and a
 * share for one more however many do.
 */
const SHARE = 2
/** The last of it is for users who hold little: a dozen who each took all that they could get would leave nothing for the next. */
const RESERVED = 1 / 8
const LITTLE = 1 / 64

/**
 * Frees what is kept for looking at only, where that makes room for what a user wants.
 * @param fits whether there is room once so many bytes of that user, and so many of all users, are free
 * @returns whether it made room
 */
export type Reclaim = (user: string, fits: (own: number, all: number) => boolean) => boolean

export interface BudgetOptions {
  /** Bytes that may be held, by all users together; without end unless given. */
  limit?: number
  /** Whether the process itself has room for so many bytes more: what is not collected yet counts. Yes unless given. */
  room?: (bytes: number) => boolean
}

/**
 * The memory that a server keeps for its users, in bytes: each holding is granted before anything is kept. A user may hold up to
 * twice what is free (dynamic thresholds: Choudhury and Hahne 1998), and the last eighth is for those who hold little. So the biggest is
 * refused first, one who holds little can go on, and nobody needs a share of their own in a configuration.
 */
export class Budget {
  readonly limit: number
  readonly #room: (bytes: number) => boolean
  readonly #users = new Map<string, number>()
  readonly #reclaims: Reclaim[] = []
  #used = 0
  #refused = 0

  constructor({ limit = Number.POSITIVE_INFINITY, room = () => true }: BudgetOptions = {}) {
    this.limit = limit
    this.#room = room
  }

  /** Bytes that are held. */
  get used(): number {
    return this.#used
  }

  /** Times that somebody was refused. */
  get refused(): number {
    return this.#refused
  }

  usedBy(name: string): number {
    return this.#users.get(name) ?? 0
  }

  /** Is asked, before a user is refused, to free what is only kept for looking at. */
  onShort(reclaim: Reclaim): void {
    this.#reclaims.push(reclaim)
  }

  /**
   * Counts for one thing that is kept for that user.
   * @param small so many bytes at once are given beyond the user's share, if others leave room
   */
  hold({ name }: Pick<User, 'name'>, small = 0): Hold {
    return new Hold(this, name, small)
  }

  /** Grants a user so many bytes. @throws FsError `over the memory budget of this server` */
  grant(name: string, bytes: number, passing = false): void {
    this.check(name, bytes, passing)
    this.count(name, bytes)
  }

  /**
   * Refuses what `grant` would refuse, and counts nothing.
   * @param passing the process is not looked at
   * @throws FsError `over the memory budget of this server`
   */
  check(name: string, bytes: number, passing = false): void {
    const fits = (own: number, all: number) => this.fits(name, bytes, own, all)
    if (!fits(0, 0) && !this.#reclaims.some(reclaim => reclaim(name, fits))) throw this.#refusal(name)
    if (!passing && !this.#room(bytes)) throw this.#refusal(name)
  }

  /** Whether a user may have so many bytes more, once so many of their own and so many of all are free. */
  fits(name: string, bytes: number, own = 0, all = 0): boolean {
    const holds = this.usedBy(name) - own + bytes
    const used = this.#used - all + bytes
    if (holds <= LITTLE * this.limit) return used <= this.limit
    return holds <= SHARE * ((1 - RESERVED) * this.limit - used)
  }

  /** Whether there is room for so many bytes that cannot be refused any more: only what is reserved for others is out of reach. */
  bears(bytes: number): boolean {
    return this.#used + bytes <= (1 - RESERVED) * this.limit
  }

  /** Counts what is there already, or is given back. */
  count(name: string, bytes: number): void {
    this.#used += bytes
    const own = this.usedBy(name) + bytes
    if (own > 0) this.#users.set(name, own)
    else this.#users.delete(name)
  }

  #refusal(name: string): Error {
    this.#refused++
    const mib = (bytes: number) => `${Math.ceil(bytes / MiB)}`
    return fail(
      'overMemory',
      `${name} holds ${mib(this.usedBy(name))} of ${mib(this.limit)} MiB; close files, remove tasks and sessions (rm -r task/N session/N), or raise memory in the configuration`,
    )
  }
}

/** What one thing holds of a budget. */
export class Hold implements Holding {
  #bytes = 0
  #freed = false

  constructor(
    readonly budget: Budget,
    readonly user: string,
    readonly small = 0,
  ) {}

  get bytes(): number {
    return this.#bytes
  }

  grow(bytes: number, passing = false): void {
    if (this.#freed || (bytes <= this.small && this.owe(bytes))) return
    this.budget.grant(this.user, bytes, passing)
    this.#bytes += bytes
  }

  fits(bytes: number): boolean {
    return this.budget.fits(this.user, bytes)
  }

  owe(bytes: number): boolean {
    if (!this.fits(bytes) && !this.budget.bears(bytes)) return false
    this.add(bytes)
    return true
  }

  /** Counts what cannot be refused any more. */
  add(bytes: number): void {
    if (this.#freed) return
    this.budget.count(this.user, bytes)
    this.#bytes += bytes
  }

  shrink(bytes: number): void {
    const less = Math.min(bytes, this.#bytes)
    if (less <= 0) return
    this.#bytes -= less
    this.budget.count(this.user, -less)
  }

  /** Becomes so many bytes. @throws FsError where these are more, and there is no room: then it is as it was */
  resize(bytes: number): void {
    if (bytes > this.#bytes) this.grow(bytes - this.#bytes)
    else this.shrink(this.#bytes - bytes)
  }

  free(): void {
    this.shrink(this.#bytes)
    this.#freed = true
  }
}
