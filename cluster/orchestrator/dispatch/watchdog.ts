/** Decides how long an attempt may be silent before it is taken for lost. */

import * as limits from '../limits.js'

/** An attempt, as far as its patience depends on it. */
export interface Silence {
  /** Whether it has given tokens. */
  readonly producedTokens: boolean
  /** Characters of its prompt. */
  readonly size: number
  /** Tasks before it in the worker's own queue. */
  readonly position: number
  /** Clusters between us and the engine: each takes as long to find a hung worker, and then tries another. */
  readonly clusters: number
  /** How long the worker's upstream may say nothing, in s; 0: the worker makes the text itself. */
  readonly patience_s: number
}

/** How long that attempt may be silent, in ms. */
export function patience({ producedTokens, size, position, clusters, patience_s }: Silence): number {
  const prefill = limits.PREFILL_SILENCE_MS + size * limits.PREFILL_SILENCE_PER_CHARACTER_MS
  const waits = position > 0 ? limits.TOKEN_SILENCE_MS : 0
  const silence = producedTokens ? limits.TOKEN_SILENCE_MS : prefill + waits
  const own = clusters > 0 ? (1 + clusters) * Math.max(silence, prefill) : silence
  return Math.max(own, patience_s * 1000)
}
