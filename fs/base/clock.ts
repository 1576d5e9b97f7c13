/**
 * Time as an argument: everything that waits, measures or expires uses a Clock, so that a whole cluster can run on
 * virtual time in one process.
 */

/** Cancels what was scheduled on a clock; has no effect once that has happened. */
export type Cancel = () => void

/** A source of time and timers. */
export interface Clock {
  /** Monotonic milliseconds from an arbitrary start; deadlines, leases and rates are measured in them. */
  now(): number
  /** Milliseconds since 1970, for people to read. They jump when someone sets the machine's time. */
  date(): number
  /**
   * Calls `call` once, in `ms`.
   * @param idle true if the process may exit before then, provided it waits for nothing else
   */
  after(ms: number, call: () => void, idle?: boolean): Cancel
}

/** The time of this machine. */
export const systemClock: Clock = {
  now: () => performance.now(),
  date: () => Date.now(),
  after(ms, call, idle = false) {
    const timer = setTimeout(call, ms)
    // in a browser a timer is a number
    if (idle) (timer as { unref?(): void }).unref?.()
    return () => clearTimeout(timer)
  },
}

/** Resolves in `ms`. @throws the signal's reason as soon as it aborts */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal, idle = false): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const aborted = () => {
      cancel()
      reject(signal!.reason)
    }
    const cancel = clock.after(
      ms,
      () => {
        signal?.removeEventListener('abort', aborted)
        resolve()
      },
      idle,
    )
    signal?.addEventListener('abort', aborted, { once: true })
  })
}

/** A signal that aborts with `error()` in `ms`, and a function that cancels the timer. */
export function deadline(clock: Clock, ms: number, error: () => Error): { signal: AbortSignal; cancel: Cancel } {
  const controller = new AbortController()
  return { signal: controller.signal, cancel: clock.after(ms, () => controller.abort(error()), true) }
}

/**
 * A signal that aborts in `ms` with a TimeoutError. Use it instead of AbortSignal.timeout: Node 20 garbage-collects
 * that signal, and its timer with it, if only AbortSignal.any refers to it, and the limit never fires.
 */
export function timeLimit(ms: number, clock: Clock = systemClock): AbortSignal {
  const controller = new AbortController()
  clock.after(ms, () => controller.abort(new DOMException(`timed out after ${ms} ms`, 'TimeoutError')), true)
  return controller.signal
}

/** Calls `call` every `ms` until cancelled; never keeps the process from exiting. */
export function every(clock: Clock, ms: number, call: () => void): Cancel {
  let cancel: Cancel
  const again = () => {
    cancel = clock.after(ms, again, true)
    call()
  }
  cancel = clock.after(ms, again, true)
  return () => cancel()
}
