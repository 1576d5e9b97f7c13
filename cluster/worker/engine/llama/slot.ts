/** One sequence of a llama.cpp context, with its KV cache. */

import type { LlamaContextSequence, LlamaGrammarEvaluationState, Token } from 'node-llama-cpp'
import type { Sampling } from '../../../../api/sampling.js'
import type { Gate } from './gate.js'

/** Prompt tokens evaluated between two checks for an abort. */
const STRETCH = 256

/** One sequence of the shared context, and what its KV cache holds: the tokens of its last prompt and answer. */
export class Slot {
  /** @param gate shared by all slots of the context */
  constructor(
    readonly sequence: LlamaContextSequence,
    readonly gate: Gate,
  ) {}

  /** How many tokens at the beginning of `tokens` are in the cache already. */
  common(tokens: readonly Token[]): number {
    return this.sequence.compareContextTokens(tokens as Token[]).firstDifferentIndex
  }

  /**
   * Cuts the cache to a prefix of `tokens`, erasing what differs. The last token is never part of it, because
   * evaluating that token produces the next one.
   * @returns how many tokens the cache holds
   */
  async align(tokens: readonly Token[]): Promise<number> {
    const all = tokens.slice(0, -1)
    if (this.common(all) < this.sequence.nextTokenIndex) {
      await this.gate.close(() => this.sequence.adaptStateToTokens(all, false))
    }
    return this.sequence.nextTokenIndex
  }

  /**
   * Evaluates the missing part of `tokens` in stretches, except for the last stretch. After each stretch it yields how
   * many tokens the cache holds.
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

  /** Evaluates `tokens` and draws the next one. `seed` is used for this draw only. */
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
      if (step.done) throw new Error('llama.cpp returned no token')
      return step.value
    } finally {
      await steps.return()
    }
  }

  /** Empties the cache after a failure that leaves its state unknown. */
  async clear(): Promise<void> {
    await this.gate.close(() => this.sequence.clearHistory())
  }
}

/**
 * Picks the free slot to use: the one whose cache has the longest common prefix with `tokens`, if that saves at least
 * half of them; otherwise the one that has been free longest, so that the caches of recent conversations survive.
 * @param free in the order in which they became free
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

/**
 * Derives the seed of the i-th draw (murmur3's finalizer). A draw then depends only on its position, so that an answer
 * can be continued elsewhere.
 */
export function seedOf(seed: number, i: number): number {
  let h = (seed ^ Math.imul(i + 1, 0x9e3779b1)) >>> 0
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}
