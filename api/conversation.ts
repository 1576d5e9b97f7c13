/** The parts of a conversation, and their bounds. */
import * as field from './field.js'

/** Most characters of a model's name or path: PATH_MAX, the longest path of Linux. */
export const MAX_MODEL = 4096
/**
 * Most characters of a message, a system prompt or a history. Their size in bytes, which is never less, has the same
 * bound (cluster/root/limits.ts).
 */
export const MAX_TEXT = 16 * 1024 * 1024
/** Most messages of one conversation, empty ones included: more than a person writes in a lifetime. */
export const MAX_TURNS = 100_000
/**
 * Most levels of nested lists and objects in a request. A schema of 64 levels has some 200; deeper ones overflow a
 * stack somewhere.
 */
export const MAX_DEPTH = 256
/** Longest time to live of a session, in seconds. */
export const MAX_TTL_S = 86_400

export const roles = ['system', 'user', 'assistant', 'tool'] as const

/** One message of a conversation. */
export const turn = field.object({
  role: field.oneOf(roles),
  content: field.text(MAX_TEXT),
  /** Set only on an answer that was cancelled. */
  stopped: field.optional(field.oneOf([true]), undefined),
})
