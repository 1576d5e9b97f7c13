/** What a conversation is made of, and the ranges of what a generation may be asked for. */
import * as field from './field.js'

/** The numeric settings of a generation: the same words in a ctl, in a `generate` request, in a configuration and in a saved session. */
export const ranges = {
  temperature: { low: 0, high: 5, whole: false },
  top_p: { low: 0, high: 1, whole: false },
  top_k: { low: 0, high: 100_000, whole: true },
  min_p: { low: 0, high: 1, whole: false },
  seed: { low: 0, high: 0xffffffff, whole: true },
  max_tokens: { low: 1, high: 1_048_576, whole: true },
} as const

/** Stop strings of one generation, and characters of each. */
export const MAX_STOPS = 16
export const MAX_STOP = 256
/** Characters of a model's name or path: Linux has no longer paths (PATH_MAX). */
export const MAX_MODEL = 4096
/** Characters of a message, a system prompt or a history. Its bytes, which are at least as many, have the same bound (cluster/root/limits.ts). */
export const MAX_TEXT = 16 * 1024 * 1024
/** Messages of one conversation, which may be empty: more than a person writes in a lifetime. */
export const MAX_TURNS = 100_000
/** Longest time to live of a session, in s. */
export const MAX_TTL_S = 86_400

export const roles = ['system', 'user', 'assistant', 'tool'] as const

/** One message of a conversation. */
export const turn = field.object({
  role: field.oneOf(roles),
  content: field.text(MAX_TEXT),
  /** Only an answer that was cancelled has it. */
  stopped: field.optional(field.oneOf([true]), undefined),
})

const within = ({ low, high, whole }: (typeof ranges)[keyof typeof ranges]) =>
  field.optional((whole ? field.integer : field.number)(low, high), undefined)

/** What was set of a generation; what was not set is left out. */
export const sampling = field.object({
  temperature: within(ranges.temperature),
  top_p: within(ranges.top_p),
  top_k: within(ranges.top_k),
  min_p: within(ranges.min_p),
  seed: within(ranges.seed),
  max_tokens: within(ranges.max_tokens),
  stop: field.optional(field.list(field.text(MAX_STOP), MAX_STOPS), undefined),
})
