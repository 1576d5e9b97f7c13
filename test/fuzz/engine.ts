/** The main loop of the fuzzer. */

import type { Coverage } from './coverage.js'
import { mutate } from './mutate.js'
import { Random } from './random.js'
import { drop, load, save } from './store.js'
import type { Target } from './target.js'
import type { Watchdog } from './watchdog.js'

/** How many inputs run between two samples of the coverage: a sample costs as much as a hundred inputs. */
const BATCH = 256

export interface Outcome {
  executions: number
  seconds: number
  corpus: number
  crashers: { file: string; error: unknown }[]
}

/** Runs one target with mutated inputs for a time, and keeps each input that reaches new code. */
export class Engine {
  readonly #corpus: Uint8Array[] = []
  readonly #random: Random
  readonly #words: Uint8Array[]
  #executions = 0
  /** Unhandled rejections since the last check. */
  #rejections: unknown[] = []
  readonly #seen = new Set<string>()
  readonly #crashers: Outcome['crashers'] = []

  constructor(
    readonly target: Target,
    seed: number,
    readonly coverage: Coverage,
    readonly watchdog: Watchdog,
  ) {
    this.#random = new Random(seed)
    this.#words = (target.words ?? []).map(word => new TextEncoder().encode(word))
  }

  /** @param tidy whether kept inputs that no longer reach anything of their own are deleted */
  async run(seconds: number, tidy = false): Promise<Outcome> {
    const rejected = (error: unknown) => void this.#rejections.push(error)
    process.on('unhandledRejection', rejected)
    const begun = performance.now()
    const elapsed = () => (performance.now() - begun) / 1000
    try {
      for (const input of this.target.seeds()) await this.#one(input, true)
      for (const { name, input } of load('corpus', this.target.name))
        if (!(await this.#one(input, false)) && tidy) drop('corpus', this.target.name, name)
      while (elapsed() < seconds) await this.#batch()
    } finally {
      process.off('unhandledRejection', rejected)
    }
    return {
      executions: this.#executions,
      seconds: elapsed(),
      corpus: this.#corpus.length,
      crashers: this.#crashers,
    }
  }

  /** Runs one kept input. @returns whether it reached something new */
  async #one(input: Uint8Array, always: boolean): Promise<boolean> {
    await this.#execute([input])
    const news = this.coverage.add(this.coverage.sample())
    if (news || always) this.#corpus.push(input)
    return news
  }

  async #batch(): Promise<void> {
    const inputs: Uint8Array[] = []
    for (let i = 0; i < BATCH; i++) inputs.push(this.#next())
    await this.#search(inputs)
  }

  /** Runs inputs. If they bring something new, searches each half for the input that brought it. */
  async #search(inputs: readonly Uint8Array[]): Promise<void> {
    if (inputs.length === 1) {
      if (await this.#one(inputs[0]!, false)) save('corpus', this.target.name, inputs[0]!)
      return
    }
    const clean = await this.#execute(inputs)
    const sample = this.coverage.sample()
    if (clean && !this.coverage.news(sample)) return
    await this.#search(inputs.slice(0, inputs.length >> 1))
    await this.#search(inputs.slice(inputs.length >> 1))
    // what shows only when inputs run together is not searched for again
    this.coverage.add(sample)
  }

  #next(): Uint8Array {
    const { target } = this
    // newer inputs have been mutated less often
    const n = this.#corpus.length
    const at = this.#random.below(2) ? n - 1 - this.#random.below(Math.min(n, 32)) : this.#random.below(n)
    const shape = { framed: target.framed ?? false, words: this.#words }
    return mutate(this.#corpus[at]!, this.#random, this.#random.of(this.#corpus), shape)
  }

  /** @returns whether there was no unhandled rejection; a rejection can be blamed only on an input that runs alone */
  async #execute(inputs: readonly Uint8Array[]): Promise<boolean> {
    let clean = true
    for (const input of inputs) {
      this.watchdog.begin(input)
      this.#executions++
      try {
        const running = this.target.run(input)
        if (running) await running
      } catch (error) {
        this.#crashed(input, error)
      }
    }
    // unhandled rejections are reported once the microtasks are done
    await new Promise(resolve => setImmediate(resolve))
    if (this.#rejections.length > 0) {
      clean = false
      if (inputs.length === 1) this.#crashed(inputs[0]!, this.#rejections[0])
      this.#rejections = []
    }
    return clean
  }

  /** Keeps the first input of each kind of fault. */
  #crashed(input: Uint8Array, error: unknown): void {
    const kind =
      error instanceof Error ? (error.stack ?? error.message).replace(/\d+/g, '#').slice(0, 300) : String(error)
    if (this.#seen.has(kind)) return
    this.#seen.add(kind)
    this.#crashers.push({ file: save('crashers', this.target.name, input), error })
  }
}
