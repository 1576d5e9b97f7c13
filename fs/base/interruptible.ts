/** Waiting that ends when a signal aborts or a deadline passes, even if the work itself does not stop. */
import { type Clock, deadline } from './clock.js'

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

/**
 * Runs `ask` for at most `ms`. Returns then even if the request does not give up: a server that hangs does not answer
 * Tflush either.
 * @throws `late()` after `ms`, or the signal's reason when it aborts
 */
export async function within<T>(
  clock: Clock,
  ms: number,
  signal: AbortSignal,
  late: () => Error,
  ask: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const limit = deadline(clock, ms, late)
  const both = AbortSignal.any([signal, limit.signal])
  try {
    return await interruptible(ask(both), both)
  } finally {
    limit.cancel()
  }
}
