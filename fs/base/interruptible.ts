/** Waiting that ends when a signal aborts or a deadline passes, even if the work itself does not stop. */
import { type Clock, deadline } from './clock.js'
import { fail } from './errors.js'

/**
 * Waits for work that does not observe a signal; its outcome after an abort is discarded. @throws the signal's reason
 */
export async function interruptible<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  // if the abort comes first, a later rejection of the work must not be reported as unhandled
  work.catch(() => undefined)
  signal.throwIfAborted()
  let abort!: () => void
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason)
    signal.addEventListener('abort', abort)
  })
  try {
    return await Promise.race([work, aborted])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

/** Resolves when the signal aborts. */
export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise(resolve => signal.addEventListener('abort', () => resolve(), { once: true }))
}

/**
 * Runs `ask` for at most `ms`. Returns then even if the request does not give up: a server that hangs does not answer
 * Tflush either.
 * @param signal undefined if nothing else interrupts the wait
 * @throws `late()` after `ms`, by default `i/o error`; the signal's reason when it aborts
 */
export async function within<T>(
  clock: Clock,
  ms: number,
  signal: AbortSignal | undefined,
  ask: (signal: AbortSignal) => Promise<T>,
  late: () => Error = () => fail('io', `no answer within ${ms / 1000} s`),
): Promise<T> {
  const limit = deadline(clock, ms, late)
  const both = signal ? AbortSignal.any([signal, limit.signal]) : limit.signal
  try {
    return await interruptible(ask(both), both)
  } finally {
    limit.cancel()
  }
}
