/** The parts of a conversation, and the ranges of a generation's settings. */
import * as field from './field.js'

/**
 * The numeric settings of a generation. A ctl, a `generate` request, a configuration and a saved session use the same
 * names.
 */
export const ranges = {
  temperature: { low: 0, high: 5, whole: false },
  top_p: { low: 0, high: 1, whole: false },
  top_k: { low: 0, high: 100_000, whole: true },
  min_p: { low: 0, high: 1, whole: false },
  seed: { low: 0, high: 0xffffffff, whole: true },
  max_tokens: { low: 1, high: 1_048_576, whole: true },
} as const

/** The names of all sampling settings, as requests, a session's `ctl` and limbot.conf have them. */
export const samplingNames = [...(Object.keys(ranges) as (keyof typeof ranges)[]), 'stop' as const]

/** Most stop strings of one generation, and most characters of each. */
export const MAX_STOPS = 16
export const MAX_STOP = 256
/** Most characters of a model's name or path: PATH_MAX, the longest path of Linux. */
export const MAX_MODEL = 4096
/**
 * Most characters of a message, a system prompt or a history. Their size in bytes, which is never less, has the same
 * bound (cluster/root/limits.ts).
 */
export const MAX_TEXT = 16 * 1024 * 1024
/** Most messages of one conversation, empty ones included: more than a person writes in a lifetime. */
export const MAX_TURNS = 100_000
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

const within = ({ low, high, whole }: (typeof ranges)[keyof typeof ranges]) =>
  field.optional((whole ? field.integer : field.number)(low, high), undefined)

/** The sampling settings that were given; the others are absent. */
export const sampling = field.object({
  temperature: within(ranges.temperature),
  top_p: within(ranges.top_p),
  top_k: within(ranges.top_k),
  min_p: within(ranges.min_p),
  seed: within(ranges.seed),
  max_tokens: within(ranges.max_tokens),
  stop: field.optional(field.list(field.text(MAX_STOP), MAX_STOPS), undefined),
})
