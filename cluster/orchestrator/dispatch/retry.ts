/** Decides what becomes of a task whose attempt broke off: another attempt, or its end. */

import { PAUSES } from '../limits.js'

/** How often a task is tried before its first token, and how often it is moved in the middle of its answer. */
export interface Retry {
  readonly tries: number
  readonly resumes: number
}

/** What a task's attempts have used up. */
export interface Tally {
  /** Failed attempts that cost a try: the last one that gave a token, and all after it. */
  readonly failuresInARow: number
  /** Moves that cost a resume. A move from a worker that shuts down in order does not. */
  readonly moves: number
  /** Attempts that ended in a pause that their worker asked for. */
  readonly pauses: number
}

/** How an attempt broke off. */
export interface Loss {
  /** The worker gave the task up in order, for example because it shuts down. */
  readonly orderly: boolean
  /** The worker asks for no requests for a while. */
  readonly pause: boolean
  /** Whether this attempt has given tokens. */
  readonly tokens: boolean
}

/** What the task's reader has, and whether another worker can continue it. */
export interface Given {
  /** Tokens that the reader has. */
  readonly tokens: number
  /** Whether the reader has any text. */
  readonly text: boolean
  /** Whether the answer follows a schema or may call tools: a worker cannot continue such a text. */
  readonly structured: boolean
  /** Whether all tokens have ids, and the digest of the model that made them is known. */
  readonly continuable: boolean
}

/** The tally after an attempt broke off. */
export function count({ failuresInARow, moves, pauses }: Tally, { orderly, pause, tokens }: Loss): Tally {
  return {
    // a retry that gave tokens has shown that the task can run: what failed before no longer counts
    failuresInARow: (tokens ? 0 : failuresInARow) + (pause || orderly ? 0 : 1),
    moves: moves + (tokens && !orderly ? 1 : 0),
    pauses: pauses + (pause ? 1 : 0),
  }
}

/** Why a task cannot go on after the attempt that this tally counts; undefined if it can. */
export function stuck(
  { failuresInARow, moves, pauses }: Tally,
  given: Given,
  { tries, resumes }: Retry,
): string | undefined {
  if (pauses > PAUSES) return `${pauses} pauses`
  if (failuresInARow >= tries + (given.tokens > 0 ? 1 : 0)) return `${failuresInARow} tries`
  if (!given.text && given.tokens === 0) return undefined
  if (moves > resumes) return `${resumes} resumes`
  if (given.structured) return 'the text follows a schema or tools'
  if (!given.continuable) return 'its tokens have no ids, or its model has no digest'
  return undefined
}
