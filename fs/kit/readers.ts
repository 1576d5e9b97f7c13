import { fail } from '../errors.js'

/** Readers who wait for more: each looks again whenever something has come, and gives up when its signal says so. */
export class Readers {
  readonly #waiting = new Set<() => void>()

  /** Something has come. */
  wake(): void {
    for (const look of [...this.#waiting]) look()
  }

  /**
   * Waits until `take` gives something.
   * @throws what `take` throws, or FsError `interrupted` when the signal aborts, having taken nothing
   */
  wait<T>(take: () => T | undefined, signal: AbortSignal): Promise<T> {
    return new Promise((resolve, reject) => {
      const done = () => {
        this.#waiting.delete(look)
        signal.removeEventListener('abort', aborted)
      }
      const look = () => {
        try {
          const taken = take()
          if (taken === undefined) return
          done()
          resolve(taken)
        } catch (error) {
          done()
          reject(error)
        }
      }
      const aborted = () => {
        done()
        reject(fail('interrupted'))
      }
      if (signal.aborted) return aborted()
      this.#waiting.add(look)
      signal.addEventListener('abort', aborted)
    })
  }
}
