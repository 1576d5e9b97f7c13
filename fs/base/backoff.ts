/** Pauses between a try that failed and the next one. */

/** How long to pause, in ms. */
export interface Pauses {
  /** The most after the first failure. It doubles with each further failure. */
  readonly first_ms: number
  /** The most after any failure. */
  readonly longest_ms: number
  /** The share of that which is always waited; 0 by default. The rest is random. */
  readonly least?: number
}

/**
 * The next pause, in ms. It is random, so that those who failed together do not try again together.
 * @param before how many failures in a row came before the last one
 * @param random returns 0 to 1, as Math.random does
 */
export function backoff(before: number, { first_ms, longest_ms, least = 0 }: Pauses, random: () => number): number {
  return Math.min(first_ms * 2 ** before, longest_ms) * (least + (1 - least) * random())
}
