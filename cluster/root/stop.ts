/** The request that something ends early: made once, with a reason. */
import type { Cancel } from '../../fs/base/clock.js'

/**
 * It takes the place of an AbortController, whose signal costs more than the rest of a task. Only engines, which need a
 * signal, get one.
 */
export class Stop {
  #reason: Error | undefined
  readonly #calls = new Set<(reason: Error) => void>()
  #signal: AbortSignal | undefined

  /** Why it is to end early; undefined if it is not. */
  get reason(): Error | undefined {
    return this.#reason
  }

  /** Makes the request. Has no effect if it was made before. */
  request(reason: Error): void {
    if (this.#reason) return
    this.#reason = reason
    for (const call of this.#calls) call(reason)
  }

  /**
   * Calls `call` when the request is made, or at once if it was.
   * @returns a function to call when that is of no interest any more
   */
  on(call: (reason: Error) => void): Cancel {
    if (this.#reason) call(this.#reason)
    else this.#calls.add(call)
    return () => this.#calls.delete(call)
  }

  /** Aborted, with the reason, when the request is made. */
  get signal(): AbortSignal {
    if (!this.#signal) {
      const controller = new AbortController()
      this.#signal = controller.signal
      this.on(reason => controller.abort(reason))
    }
    return this.#signal
  }
}
