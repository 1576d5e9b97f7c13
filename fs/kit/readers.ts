/** Readers that wait for data which is still to come. */
import { fail } from '../base/errors.js'
import type { MaybePromise } from '../base/maybe-promise.js'
import type { Context } from '../file.js'

/** A set of waiting readers. Each tries again whenever something has arrived, and gives up when its call is aborted. */
export class Readers {
  readonly #waiting = new Set<() => void>()

  /** Lets all waiting readers try again: something has arrived. */
  wake(): void {
    if (this.#waiting.size === 0) return
    for (const look of [...this.#waiting]) look()
  }

  /**
   * Waits until `take` returns something other than undefined.
   * @throws what `take` throws, or FsError `interrupted` when the call is aborted; then nothing has been taken
   */
  wait<T>(take: () => MaybePromise<T> | undefined, ctx: Pick<Context, 'signal' | 'whenAborted'>): Promise<T> {
    return new Promise((resolve, reject) => {
      let over = () => void this.#waiting.delete(look)
      const look = () => {
        try {
          const taken = take()
          if (taken === undefined) return
          over()
          resolve(taken)
        } catch (error) {
          over()
          reject(error)
        }
      }
      const aborted = () => {
        over()
        reject(fail('interrupted'))
      }
      this.#waiting.add(look)
      if (ctx.whenAborted) return ctx.whenAborted(aborted)
      const { signal } = ctx
      over = () => {
        this.#waiting.delete(look)
        signal.removeEventListener('abort', aborted)
      }
      if (signal.aborted) aborted()
      else signal.addEventListener('abort', aborted)
    })
  }
}
