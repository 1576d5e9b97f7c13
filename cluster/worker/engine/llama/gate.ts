/**
 * Lets decoding pause. node-llama-cpp decodes for as long as any sequence has tokens waiting and holds the context's lock
 * all that time, so with two streams out of phase a third that must erase from its cache waits until they end (measured:
 * 8 seconds). Whoever erases closes this gate; the others' next tokens wait behind it for the moment that takes.
 */
export class Gate {
  #closed: Promise<void> | undefined

  /** To be awaited before each evaluation. */
  async pass(): Promise<void> {
    while (this.#closed) await this.#closed
  }

  /** Runs `work` when no one else's does, and keeps evaluations from beginning meanwhile. */
  async close<T>(work: () => Promise<T>): Promise<T> {
    const before = this.#closed
    let open = () => {}
    const closed = (before ?? Promise.resolve()).then(() => new Promise<void>(resolve => (open = resolve)))
    this.#closed = closed
    await before
    try {
      return await work()
    } finally {
      open()
      if (this.#closed === closed) this.#closed = undefined
    }
  }
}
