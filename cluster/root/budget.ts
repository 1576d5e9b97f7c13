/** The memory budget of a server: how many bytes it may keep for its users, shared fairly between them. */
import { fail } from '../../api/errors.js'
import type { Holding } from '../../fs/base/holding.js'
import type { User } from '../../fs/file.js'

const MiB = 1024 * 1024

/**
 * A user may hold this many times what is free. With 2, one user that takes everything they can get leaves a third for
 * the others, and any number of such users leave a share for one more.
 */
const SHARE = 2
/**
 * The last part of the budget is for users that hold little. Otherwise a dozen users that each take all they can get
 * would leave nothing for the next.
 */
const RESERVED = 1 / 8
const LITTLE = 1 / 64

/**
 * Frees things that are kept only so that users can look at them (ended tasks), if that makes room for what a user
 * wants.
 * @param fits returns whether there is room once `own` bytes of that user, and `all` bytes of all users, are free
 * @returns whether it made room
 */
export type Reclaim = (user: string, fits: (own: number, all: number) => boolean) => boolean

export interface BudgetOptions {
  /** Bytes that all users together may hold; unlimited if omitted. */
  limit?: number
  /**
   * Returns whether the process itself has room for that many more bytes, counting memory that is not garbage-collected
   * yet. Always true if omitted.
   */
  room?: (bytes: number) => boolean
}

/**
 * Counts the memory that a server keeps for its users, in bytes. Each holding is granted before anything is kept. A
 * user may hold up to twice what is free (dynamic thresholds: Choudhury and Hahne 1998), and the last eighth is for
 * users that hold little. So the biggest user is refused first, a user that holds little can go on, and no share has to
 * be configured for anybody.
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

  /** How many times something was refused. */
  get refused(): number {
    return this.#refused
  }

  usedBy(name: string): number {
    return this.#users.get(name) ?? 0
  }

  /**
   * Registers a callback that is asked, before a user is refused, to free things that are only kept to be looked at.
   */
  onShort(reclaim: Reclaim): void {
    this.#reclaims.push(reclaim)
  }

  /**
   * Makes a counter for one thing that is kept for that user.
   * @param small growth by at most this many bytes at once may exceed the user's share, if others leave room
   */
  hold({ name }: Pick<User, 'name'>, small = 0): BudgetShare {
    return new BudgetShare(this, name, small)
  }

  /** Grants a user that many bytes. @throws FsError `over the memory budget of this server` */
  grant(name: string, bytes: number, passing = false): void {
    this.check(name, bytes, passing)
    this.count(name, bytes)
  }

  /**
   * Refuses what `grant` would refuse, and counts nothing.
   * @param passing the bytes are only on their way: the size of the process is not checked
   * @throws FsError `over the memory budget of this server`
   */
  check(name: string, bytes: number, passing = false): void {
    const fits = (own: number, all: number) => this.fits(name, bytes, own, all)
    if (!fits(0, 0) && !this.#reclaims.some(reclaim => reclaim(name, fits))) throw this.#refusal(name)
    if (!passing && !this.#room(bytes)) throw this.#refusal(name)
  }

  /** Whether a user may hold `bytes` more, once `own` of their own bytes and `all` of everybody's are free. */
  fits(name: string, bytes: number, own = 0, all = 0): boolean {
    const holds = this.usedBy(name) - own + bytes
    const used = this.#used - all + bytes
    if (holds <= LITTLE * this.limit) return used <= this.limit
    return holds <= SHARE * ((1 - RESERVED) * this.limit - used)
  }

  /**
   * Whether there is room for bytes that can no longer be refused. Only the part reserved for users that hold little is
   * out of reach.
   */
  bears(bytes: number): boolean {
    return this.#used + bytes <= (1 - RESERVED) * this.limit
  }

  /** Counts bytes without asking: they are there already, or, if negative, have been freed. */
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

/** Counts the bytes that one thing holds of a budget. */
export class BudgetShare implements Holding {
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

  /** Counts bytes that can no longer be refused. */
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

  /** Sets the size to that many bytes. @throws FsError if it grows and there is no room; the size is unchanged then */
  resize(bytes: number): void {
    if (bytes > this.#bytes) this.grow(bytes - this.#bytes)
    else this.shrink(this.#bytes - bytes)
  }

  free(): void {
    this.shrink(this.#bytes)
    this.#freed = true
  }
}
