/** The slots of an engine, and the queue of generations that wait for one. */
import { fail } from '../../../api/errors.js'

/**
 * One generation: its preparation before it queues, which may refuse it; its choice among free slots; and its run on a
 * slot.
 */
interface Job<T, P, C> {
  /** Runs at the first `next()`. */
  readonly prepare: () => P
  /** Picks one of the free slots, which are in the order in which they became free. If omitted, the first. */
  readonly choose?: (free: readonly T[], prepared: P) => T
  /**
   * Runs on the slot. `signal` aborts with the caller's reason, with `shutting down` at `close`, and when the reader
   * leaves.
   */
  readonly body: (prepared: P, slot: T, signal: AbortSignal) => AsyncGenerator<C, void>
}

/**
 * The slots of an engine. Each runs one generation; the rest wait in the order in which they came. However a generation
 * ends (at its end, aborted, left by its reader, or because the engine is closed), its slot is freed at once, even if
 * the reader is asleep between two reads.
 */
export class Slots<T> {
  readonly #free: T[]
  readonly #waiting: ((slot: T) => void)[] = []
  readonly #running = new Map<AbortController, Promise<void>>()
  #closed = false

  constructor(slots: readonly T[]) {
    this.#free = [...slots]
  }

  /** Runs a job on a slot when one is free. The first `next()` takes its place in the queue. */
  run<P, C>(signal: AbortSignal, job: Job<T, P, C>): AsyncIterable<C> {
    return {
      [Symbol.asyncIterator]: () => {
        const stop = new AbortController()
        const steps = this.#steps(signal, stop, job)
        let ended = false
        // Abort, then return: a step in progress notices only the abort; a reader that is asleep will not call return,
        // so we do.
        const leave = () =>
          steps.return(undefined).then(
            () => {},
            () => {},
          )
        stop.signal.addEventListener('abort', leave, { once: true })
        return {
          async next() {
            const step = await steps.next().catch(thrown => {
              ended = true
              throw thrown
            })
            if (step.done && !ended) {
              ended = true
              if (step.value !== 'whole') stop.signal.throwIfAborted()
            }
            return step.done ? { done: true, value: undefined } : step
          },
          async return() {
            ended = true
            stop.abort(fail('cancelled'))
            await leave()
            return { done: true, value: undefined }
          },
        }
      },
    }
  }

  /** Ends everything with `shutting down`. @returns when no slot is in use any more */
  async close(): Promise<void> {
    this.#closed = true
    const running = [...this.#running]
    for (const [stop] of running) stop.abort(fail('shuttingDown'))
    await Promise.all(running.map(([, done]) => done))
  }

  async *#steps<P, C>(
    signal: AbortSignal,
    stop: AbortController,
    job: Job<T, P, C>,
  ): AsyncGenerator<C, 'whole' | undefined> {
    if (this.#closed) throw fail('shuttingDown')
    signal.throwIfAborted()
    const prepared = job.prepare()
    const abort = () => stop.abort(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    let done = () => {}
    this.#running.set(stop, new Promise(resolve => (done = resolve)))
    try {
      const slot = await this.#take(stop.signal, free => job.choose?.(free, prepared) ?? free[0]!)
      try {
        stop.signal.throwIfAborted()
        yield* job.body(prepared, slot, stop.signal)
        return 'whole'
      } catch (thrown) {
        // an error of the body after the abort is only a consequence: report why it was aborted instead
        stop.signal.throwIfAborted()
        throw thrown
      } finally {
        this.#put(slot)
      }
    } finally {
      signal.removeEventListener('abort', abort)
      this.#running.delete(stop)
      done()
    }
  }

  #take(signal: AbortSignal, choose: (free: readonly T[]) => T): Promise<T> {
    if (this.#free.length > 0) {
      const slot = choose(this.#free)
      this.#free.splice(this.#free.indexOf(slot), 1)
      return Promise.resolve(slot)
    }
    return new Promise((resolve, reject) => {
      const take = (slot: T) => {
        signal.removeEventListener('abort', leave)
        resolve(slot)
      }
      const leave = () => {
        this.#waiting.splice(this.#waiting.indexOf(take), 1)
        reject(signal.reason)
      }
      this.#waiting.push(take)
      signal.addEventListener('abort', leave, { once: true })
    })
  }

  #put(slot: T): void {
    const next = this.#waiting.shift()
    if (next) next(slot)
    else this.#free.push(slot)
  }
}
