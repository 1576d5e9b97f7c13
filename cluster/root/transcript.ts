/** The transcript of a session: what was asked and answered, as a person reads it. */
import type { MaybePromise } from '../../fs/base/maybe-promise.js'
import type { Context, User } from '../../fs/file.js'
import { AppendLog } from '../../fs/kit/append-log.js'
import { now } from '../../fs/kit/content.js'
import type { Spill } from '../../fs/kit/spill.js'
import type { Budget } from './budget.js'
import { MAX_HISTORY } from './limits.js'

/** How much of an answer is copied at once, in bytes. */
const PIECE = 64 * 1024

/** The text that `log` shows. A transcript that is full ends; the conversation goes on, and `history` has it. */
export class Transcript {
  readonly #log: AppendLog
  readonly #release: () => void
  #mtime = now()

  constructor(user: User, budget: Budget, spill: Spill | undefined) {
    this.#log = new AppendLog(MAX_HISTORY, budget.hold(user))
    this.#log.spillTo(spill)
    this.#release = this.#log.keep()
  }

  get length(): number {
    return this.#log.length
  }

  /** When it last grew, in seconds since 1970. */
  get mtime(): number {
    return this.#mtime
  }

  /** Reads bytes that are there. It does not wait for more. */
  read(offset: number, count: number, ctx: Context): MaybePromise<Uint8Array> {
    return offset < this.#log.length ? this.#log.read(offset, count, ctx) : new Uint8Array(0)
  }

  /** Adds a message. */
  write(role: string, content: string): void {
    this.#append(`${role}: ${content}\n`)
  }

  /** Copies an answer as it is generated. Settles when the answer has ended; never rejects. */
  async follow(answer: AppendLog): Promise<void> {
    const never = { signal: new AbortController().signal }
    let at = 0
    try {
      for (;;) {
        const piece = await answer.read(at, PIECE, never)
        if (piece.length === 0) break
        if (at === 0) this.#append('assistant: ')
        at += piece.length
        this.#append(piece)
      }
    } catch (error) {
      this.#append(`${at ? '\n' : ''}[${(error as Error).message}]\n`)
    }
    this.#append('\n')
  }

  /** Ends it, and drops what nobody has open. */
  end(): void {
    this.#log.end()
    this.#release()
  }

  #append(data: string | Uint8Array): void {
    try {
      this.#log.append(data)
      this.#mtime = now()
    } catch {
      this.#log.end()
    }
  }
}
