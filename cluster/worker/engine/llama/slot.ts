import type { LlamaContextSequence, LlamaGrammarEvaluationState, Token } from 'node-llama-cpp'
import type { Sampling } from '../engine.js'
import type { Gate } from './gate.js'

/** Prompt tokens evaluated before an abort is looked for. */
const STRETCH = 256

/** One sequence of the shared context, and what its KV cache holds: the tokens of its last prompt and answer. */
export class Slot {
  /** @param gate shared by all slots of the context */
  constructor(
    readonly sequence: LlamaContextSequence,
    readonly gate: Gate,
  ) {}

  /** How many tokens at the beginning are in the cache already. */
  common(tokens: readonly Token[]): number {
    return this.sequence.compareContextTokens(tokens as Token[]).firstDifferentIndex
  }

  /**
   * Makes the cache a beginning of `tokens`, erasing what differs. The last token is never among it: evaluating it is what
   * gives the next.
   * @returns how many tokens it holds
   */
  async align(tokens: readonly Token[]): Promise<number> {
    const all = tokens.slice(0, -1)
    if (this.common(all) < this.sequence.nextTokenIndex) {
      await this.gate.close(() => this.sequence.adaptStateToTokens(all, false))
    }
    return this.sequence.nextTokenIndex
  }

  /**
   * Evaluates what is missing of `tokens`, in stretches, but for the last one. After each it yields how many the cache holds.
   * @returns the last stretch, never empty: evaluating it draws the token that follows
   */
  async *prefill(tokens: readonly Token[], signal: AbortSignal): AsyncGenerator<number, readonly Token[]> {
    for (;;) {
      const rest = tokens.slice(this.sequence.nextTokenIndex)
      if (rest.length <= STRETCH) return rest
      await this.gate.pass()
      signal.throwIfAborted()
      await this.sequence.evaluateWithoutGeneratingNewTokens(rest.slice(0, STRETCH))
      yield this.sequence.nextTokenIndex
    }
  }

  /** Evaluates `tokens` and draws the next. `seed` is for this draw alone. */
  async next(
    tokens: readonly Token[],
    sampling: Sampling,
    seed: number,
    grammarEvaluationState: LlamaGrammarEvaluationState | undefined,
  ): Promise<Token> {
    await this.gate.pass()
    const steps = this.sequence.evaluate(tokens as Token[], {
      temperature: sampling.temperature,
      topP: sampling.top_p,
      topK: sampling.top_k,
      minP: sampling.min_p,
      seed,
      yieldEogToken: true,
      ...(grammarEvaluationState && { grammarEvaluationState }),
    })
    try {
      const step = await steps.next()
      if (step.done) throw new Error('llama.cpp gave no token')
      return step.value
    } finally {
      await steps.return()
    }
  }

  /** Forgets everything, after a failure that leaves the cache unknown. */
  async clear(): Promise<void> {
    await this.gate.close(() => this.sequence.clearHistory())
  }
}

/**
 * The free slot to take: the one whose cache begins as `tokens` do, if that saves half of them or more; else the one that
 * has been free longest, so that the caches of lately used conversations stay.
 * @param free in the order they became free
 */
export function chooseSlot(free: readonly Slot[], tokens: readonly Token[]): Slot {
  let best = free[0]!
  let most = 0
  for (const slot of free) {
    const common = slot.common(tokens)
    if (common * 2 >= tokens.length && common > most) {
      best = slot
      most = common
    }
  }
  return best
}

/** A seed for the i-th draw (murmur3's finalizer): so a draw depends on its place only, and an answer can be continued. */
export function seedOf(seed: number, i: number): number {
  let h = (seed ^ Math.imul(i + 1, 0x9e3779b1)) >>> 0
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}
