/** How often a worker gives a sign of life while it answers. It tells a slow worker from one that stands still. */

/** How much of a longest gap is left after each further token, and after each further prompt. */
const TOKEN_DECAY = 0.98
const PROMPT_DECAY = 0.8
/** The share of a prompt that must be new to the worker's cache for the time of its prefill to count. */
const NEW = 0.5

/**
 * The longest gaps of late, which fade as shorter ones follow. The longest counts and not the average, because a pause
 * that has just been seen, such as for another answer's prefill, may come again.
 */
export class Pace {
  /** Between two tokens, in ms; undefined before the second one. */
  #token_ms: number | undefined
  /** From a prompt to its first token, for each of its characters, in ms; undefined before the first one. */
  #character_ms: number | undefined

  /** A token came so long after the one before it. */
  token(gap_ms: number): void {
    this.#token_ms = Math.max(gap_ms, TOKEN_DECAY * (this.#token_ms ?? 0))
  }

  /**
   * The first token came so long after the prompt was sent.
   * @param size characters of the prompt
   * @param reused the share of it that was in the worker's cache, 0 to 1
   */
  first(gap_ms: number, size: number, reused: number): void {
    if (1 - reused < NEW) return
    this.#character_ms = Math.max(gap_ms / Math.max(1, size), PROMPT_DECAY * (this.#character_ms ?? 0))
  }

  /**
   * How long to wait for the next sign of life at this pace, in ms; undefined if the pace is not known.
   * @param size characters of the prompt, where the first token has not come yet; undefined after it
   */
  expected(size: number | undefined): number | undefined {
    if (size === undefined) return this.#token_ms
    return this.#character_ms === undefined ? undefined : this.#character_ms * size
  }
}
