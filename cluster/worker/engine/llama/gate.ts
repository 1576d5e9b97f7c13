/**
 * Lets decoding pause. node-llama-cpp decodes for as long as any sequence has tokens waiting, and holds the lock of the
 * context all that time. So with two streams out of phase, a third that must erase from its cache would wait until they
 * end (measured: 8 seconds). The stream that erases closes this gate, and the next tokens of the others wait for the
 * moment that takes.
 */
export class Gate {
  #closed: Promise<void> | undefined

  /** Waits until the gate is open. Call before each evaluation. */
  async pass(): Promise<void> {
    while (this.#closed) await this.#closed
  }

  /** Runs `work` while nobody else has the gate closed, and delays new evaluations meanwhile. */
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
