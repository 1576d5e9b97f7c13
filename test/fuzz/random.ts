/** Random numbers from a seed (xorshift32). */
export class Random {
  #state: number

  constructor(readonly seed: number) {
    this.#state = seed >>> 0 || 1
  }

  /** A whole number from 0 to `n` - 1. */
  below(n: number): number {
    let x = this.#state
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.#state = x >>> 0
    return this.#state % n
  }

  /** One of several items. */
  of<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!
  }
}
