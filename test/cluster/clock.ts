/** A clock for tests, whose time passes when a test says so. */
import type { Clock } from '../../fs/base/clock.js'

/** Each call that is due runs to its end, with all promises that follow from it, before the next one. */
export class TestClock implements Clock {
  #now = 0
  #calls: { at: number; call: () => void }[] = []

  now = () => this.#now
  date = () => Date.UTC(2026, 0, 1) + this.#now

  after(ms: number, call: () => void): () => void {
    const entry = { at: this.#now + ms, call }
    this.#calls.push(entry)
    return () => {
      this.#calls = this.#calls.filter(other => other !== entry)
    }
  }

  async pass(ms: number): Promise<void> {
    const end = this.#now + ms
    await settled()
    for (;;) {
      const next = this.#calls.reduce<{ at: number; call: () => void } | undefined>(
        (first, entry) => (entry.at <= end && (!first || entry.at < first.at) ? entry : first),
        undefined,
      )
      if (!next) break
      this.#calls = this.#calls.filter(entry => entry !== next)
      this.#now = next.at
      next.call()
      await settled()
    }
    this.#now = end
  }
}

/** Waits until no promise can go on, and until operations on the disk are done, which take real time. */
export async function settled(): Promise<void> {
  do await new Promise(resolve => setImmediate(resolve))
  while (process.getActiveResourcesInfo().some(name => /^(FSReq|CloseReq)/.test(name)))
}
