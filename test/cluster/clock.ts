import type { Clock } from '../../fs/clock.js'

/** Time that passes when a test says so. What it calls runs to its end, promises and all, before the next. */
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

/** Lets every promise that can go on do so, also after what the disk is asked for, whose time is not the clock's. */
export async function settled(): Promise<void> {
  do await new Promise(resolve => setImmediate(resolve))
  while (process.getActiveResourcesInfo().some(name => /^(FSReq|CloseReq)/.test(name)))
}
