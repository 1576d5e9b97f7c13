/**
 * Random numbers that a seed repeats (sfc32). Each purpose has its own stream, so that one more draw for one changes
 * nothing for the others.
 */
export class Random {
  #a: number
  #b: number
  #c: number
  #counter = 1

  constructor(readonly seed: string) {
    // FNV-1a, with three different offsets
    const [a, b, c] = [0x811c9dc5, 0x01000193, 0x9e3779b9].map(begin => {
      let hash = begin
      for (let i = 0; i < seed.length; i++) hash = Math.imul(hash ^ seed.charCodeAt(i), 0x01000193)
      return hash | 0
    })
    this.#a = a!
    this.#b = b!
    this.#c = c!
    for (let i = 0; i < 12; i++) this.next()
  }

  /** A number from 0 to below 1, as Math.random gives. */
  readonly next = (): number => {
    const t = (((this.#a + this.#b) | 0) + this.#counter) | 0
    this.#counter = (this.#counter + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + t
    return (t >>> 0) / 2 ** 32
  }

  /** The stream for a purpose. */
  stream(purpose: string): Random {
    return new Random(`${this.seed}/${purpose}`)
  }

  /** A whole number from `low` to `high`. */
  whole(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1))
  }

  /** A number from `low` to below `high`. */
  between(low: number, high: number): number {
    return low + this.next() * (high - low)
  }

  /** True with this probability, 0 to 1. */
  chance(p: number): boolean {
    return this.next() < p
  }

  /** One of the items. */
  of<T>(items: readonly T[]): T {
    return items[Math.floor(this.next() * items.length)]!
  }

  /** A key, drawn as often as its weight says. */
  weighted<K extends string>(weights: Readonly<Record<K, number>>): K {
    const entries = Object.entries<number>(weights)
    let at = this.next() * entries.reduce((sum, [, weight]) => sum + weight, 0)
    return (entries.find(([, weight]) => (at -= weight) < 0) ?? entries.at(-1)!)[0] as K
  }

  /** Hexadecimal digits. */
  hex(digits: number): string {
    return Array.from({ length: digits }, () => this.whole(0, 15).toString(16)).join('')
  }

  /** A string that looks like a UUID. */
  uuid(): string {
    return [8, 4, 4, 4, 12].map(digits => this.hex(digits)).join('-')
  }
}
