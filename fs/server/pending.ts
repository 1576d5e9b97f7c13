/** A request that has not been answered: its flushes, its abort, and the memory that it keeps. */
import { fail } from '../base/errors.js'
import type { Holding } from '../base/holding.js'
import type { User } from '../file.js'
import type { Request } from './connection.js'
import type { FidState } from './fid.js'

/** The part of a connection that counts what its requests keep. */
interface Keeper {
  /** Counts for requests that are about no fid. */
  readonly account: Holding
  /** Treats `bytes` as queued until `answer` settles. */
  reserve(bytes: number, answer: Promise<unknown>): void
}

/** A request that has not been answered yet. */
export class Pending implements Request {
  user: User | undefined
  fid: FidState | undefined
  making: Request['making']
  /** A clunk or a remove. Its fid is gone in any case, so it must be answered even when it is flushed. */
  ends = false
  /** Tags of the Tflushes that wait for this request, in order. */
  flushes: number[] | undefined
  /** The connection was reset or closed, or the flush grace period has expired: the result must be discarded. */
  dropped = false
  aborted = false
  #controller: AbortController | undefined
  /** The error with which the memory accounting refused what the request keeps while it waits. */
  refusal: unknown
  #onabort: (() => void) | undefined
  #keeper: Holding | undefined
  #kept = 0
  #reserved = false

  constructor(
    readonly tag: number,
    readonly connection: Keeper,
  ) {}

  get holding(): Holding | undefined {
    return this.fid?.holding
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.aborted) this.#controller.abort(fail('interrupted'))
    return this.#controller.signal
  }

  whenAborted(call: () => void): void {
    if (this.aborted) call()
    else this.#onabort = call
  }

  reserve(bytes: number, answer: Promise<unknown>): void {
    if (this.#reserved) return
    this.#reserved = true
    this.keep(bytes)
    this.connection.reserve(bytes, answer)
  }

  /** Counts bytes that the request keeps until it is answered. If there is no room, aborts it. */
  keep(bytes: number): void {
    this.#keeper ??= this.holding ?? this.connection.account
    try {
      this.#keeper.grow(bytes, true)
      this.#kept += bytes
    } catch (error) {
      this.refusal ??= error
      this.abort()
    }
  }

  /** Stops counting: the request is answered, or no one waits for it any more. */
  done(): void {
    this.#keeper?.shrink(this.#kept)
    this.#kept = 0
  }

  abort(): void {
    this.aborted = true
    this.#controller?.abort(fail('interrupted'))
    this.#onabort?.()
  }
}
