/** The trace of a task: what happened to it, what was decided, and when. */
import { type Step, type StepAttributes, traceLine } from '../../api/trace.js'
import type { BudgetShare } from './budget.js'

/** Most lines of one task: a peer that keeps failing must not fill the memory with them. */
const MAX_TRACE = 1000

export class Trace {
  readonly #lines: string[] = []

  /** @param share counts the lines */
  constructor(readonly share: BudgetShare) {}

  /** Adds a line. @param ms when, since the submission */
  add<S extends Step>(step: S, ms: number, attrs: StepAttributes<S>): void {
    if (this.#lines.length >= MAX_TRACE) return
    const line = traceLine(step, Math.round(ms), attrs)
    this.share.add(line.length)
    this.#lines.push(line)
  }

  text(): string {
    return this.#lines.join('')
  }

  clear(): void {
    this.#lines.length = 0
  }
}
