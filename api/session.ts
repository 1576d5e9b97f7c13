/** A session as a cluster's server keeps it for the next one: `session-N` in its state directory. */
import { MAX_MODEL, MAX_TEXT, MAX_TTL_S, MAX_TURNS, sampling, turn } from './conversation.js'
import * as field from './field.js'
import { json } from './text.js'

/**
 * Most characters of one file: a history and a system prompt of the longest, of whose characters JSON may write each as six (`\u0001`),
 * and a schema, names and brackets besides.
 */
export const MAX_SAVED = 6 * 2 * MAX_TEXT + MAX_TEXT
/** Lists and objects in each other: a schema may have 256 (cluster/root/limits.ts), and stands in the session. */
const MAX_DEPTH = 256 + 1

const savedSession = field.object({
  user: field.object({
    name: field.user,
    uid: field.integer(0, 0xffffffff),
    role: field.oneOf(['read', 'use', 'admin']),
    relayed: field.optional(field.oneOf([true]), undefined),
  }),
  settings: field.object({ sampling, system: field.optional(field.text(MAX_TEXT), '') }),
  model: field.optional(field.text(MAX_MODEL), undefined),
  /** A JSON schema: what is in it is read by whoever makes a grammar of it. */
  schema: field.optional(field.some, undefined),
  ttl: field.number(0, MAX_TTL_S),
  history: field.list(turn, MAX_TURNS),
})

export type SavedSession = field.Of<typeof savedSession>

/** @throws Unfit for what is no session, naming what of it is missing or breaks its bounds */
export const parseSession = (text: string): SavedSession =>
  savedSession(json(text, 'session', MAX_SAVED, MAX_DEPTH), 'session')
