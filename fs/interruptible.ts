/** Waits for work no longer than somebody wants to, also for work that does not give up. */
import { type Clock, deadline } from './clock.js'

/** Waits for work that knows no signal; what it comes to after the signal is nobody's. @throws the signal's reason */
export async function interruptible<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  // an abort may be first: then nobody hears of its failure
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
 * Asks for so long, and waits no longer even if what was asked does not give up: a server that hangs does not answer Tflush either.
 * @throws `late()` after `ms`, the signal's reason when it aborts
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
