/** How long the tasks of a root take: moving averages, from which waiting times are estimated. */

/** How much the newest task changes an average. */
const WEIGHT = 0.2

const averaged = (old: number, value: number) => (1 - WEIGHT) * old + WEIGHT * value

export class Pace {
  /** How long a task runs, in seconds. */
  #usual_s = 1
  /** The time to the first token, in ms; undefined until a task has ended. */
  #latency_ms: number | undefined

  get latency_ms(): number | undefined {
    return this.#latency_ms
  }

  /** Counts a task that has run. @param ttft_ms its time to the first token; undefined if it gave none */
  ran(seconds: number, ttft_ms: number | undefined): void {
    this.#usual_s = averaged(this.#usual_s, seconds)
    if (ttft_ms !== undefined) this.#latency_ms = averaged(this.#latency_ms ?? ttft_ms, ttft_ms)
  }

  /** Estimates how long a task waits that has so many others before it, in seconds. */
  wait_s(before: number, slots: number): number {
    return Math.max(1, (this.#usual_s * (before + 1)) / (slots || 1))
  }
}
