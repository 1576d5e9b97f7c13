/** Ends what a clock was asked for; does nothing once it has happened. */
export type Cancel = () => void

/**
 * Time as an argument. Everything that waits, measures or expires asks a clock, so that a whole cluster can run on virtual time
 * in one process.
 */
export interface Clock {
  /** Milliseconds that only grow, from any beginning: deadlines, leases and rates are measured by these. */
  now(): number
  /** Milliseconds since 1970, for people to read. They jump when somebody sets the machine's time. */
  date(): number
  /** Calls once, `ms` later. @param idle whether a process that waits for nothing else may end before */
  after(ms: number, call: () => void, idle?: boolean): Cancel
}

/** This machine's time. */
export const systemClock: Clock = {
  now: () => performance.now(),
  date: () => Date.now(),
  after(ms, call, idle = false) {
    const timer = setTimeout(call, ms)
    // a browser's timer is a number
    if (idle) (timer as { unref?(): void }).unref?.()
    return () => clearTimeout(timer)
  },
}

/** Resolves `ms` later. @throws the signal's reason as soon as it aborts */
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

/** A signal that aborts with that error `ms` later, and what ends the wait. */
export function deadline(clock: Clock, ms: number, error: () => Error): { signal: AbortSignal; cancel: Cancel } {
  const controller = new AbortController()
  return { signal: controller.signal, cancel: clock.after(ms, () => controller.abort(error()), true) }
}

/**
 * A signal that aborts `ms` later. It takes the place of AbortSignal.timeout, which Node 20 collects as garbage, timer and all, where only
 * AbortSignal.any refers to it: a limit that never comes.
 */
export function timeLimit(ms: number, clock: Clock = systemClock): AbortSignal {
  const controller = new AbortController()
  clock.after(ms, () => controller.abort(new DOMException(`not done within ${ms} ms`, 'TimeoutError')), true)
  return controller.signal
}

/** Calls every `ms` until cancelled; never keeps a process from ending. */
export function every(clock: Clock, ms: number, call: () => void): Cancel {
  let cancel: Cancel
  const again = () => {
    cancel = clock.after(ms, again, true)
    call()
  }
  cancel = clock.after(ms, again, true)
  return () => cancel()
}
