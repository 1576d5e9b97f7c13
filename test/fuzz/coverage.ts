/** Measures which code an input reaches. */

import { type Profiler, Session } from 'node:inspector'

type Span = readonly [from: number, to: number]

/** The functions that ran, by position, and for each the spans that did not. */
export type Sample = Map<string, Span[]>

/**
 * Which blocks of the program have run, from V8's own counters in this process. For each function it holds the spans
 * that never ran. A sample brings something new if it makes one of them smaller.
 */
export class Coverage {
  readonly #session = new Session()
  readonly #unrun = new Map<string, Span[]>()

  /** @param wanted decides by a module's address whether the module counts */
  constructor(readonly wanted: (url: string) => boolean) {
    this.#session.connect()
    this.#session.post('Profiler.enable')
    this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })
  }

  /** How many functions have run, in any sample. */
  get functions(): number {
    return this.#unrun.size
  }

  /** Returns what has run since the last sample. */
  sample(): Sample {
    const out: Sample = new Map()
    this.#session.post('Profiler.takePreciseCoverage', (error, taken) => {
      if (error) throw error
      for (const { url, functions } of taken.result) {
        if (!this.wanted(url)) continue
        for (const { ranges } of functions) {
          const { count, startOffset, endOffset } = ranges[0]!
          if (count > 0) out.set(`${url}:${startOffset}:${endOffset}`, unrun(ranges))
        }
      }
    })
    return out
  }

  /** Whether a sample has a block that never ran before. */
  news(sample: Sample): boolean {
    for (const [key, now] of sample) {
      const before = this.#unrun.get(key)
      if (!before || (before.length > 0 && length(intersect(before, now)) < length(before))) return true
    }
    return false
  }

  /** Remembers a sample. @returns whether it brought something new */
  add(sample: Sample): boolean {
    const news = this.news(sample)
    for (const [key, now] of sample) {
      const before = this.#unrun.get(key)
      if (before?.length !== 0) this.#unrun.set(key, before ? intersect(before, now) : now)
    }
    return news
  }

  close(): void {
    this.#session.disconnect()
  }
}

/** The spans of a function that did not run. Outer ranges come before inner ones, and an inner one overrides. */
function unrun(ranges: readonly Profiler.CoverageRange[]): Span[] {
  let out: Span[] = []
  for (const { startOffset: from, endOffset: to, count } of ranges) {
    if (count === 0) out.push([from, to])
    else if (out.length) out = out.flatMap(span => without(span, from, to))
  }
  return out
}

function without([a, b]: Span, from: number, to: number): Span[] {
  if (to <= a || from >= b) return [[a, b]]
  return (
    [
      [a, from],
      [to, b],
    ] as Span[]
  ).filter(([x, y]) => x < y)
}

function intersect(some: readonly Span[], others: readonly Span[]): Span[] {
  return some.flatMap(([a, b]) =>
    others.map(([c, d]): Span => [Math.max(a, c), Math.min(b, d)]).filter(([x, y]) => x < y),
  )
}

const length = (spans: readonly Span[]) => spans.reduce((n, [a, b]) => n + b - a, 0)
