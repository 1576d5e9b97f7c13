/** Waits for work that knows no signal; what it comes to after the signal is nobody's. */
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
