/**
 * A session as a cluster's server keeps it for the next one: `session-N` in its state directory. Its first line is the session as it was when
 * it was written; each further line is what a turn has added to its history since.
 */
import { MAX_MODEL, MAX_TEXT, MAX_TTL_S, MAX_TURNS, sampling, turn } from './conversation.js'
import * as field from './field.js'
import { json } from './text.js'
import type { Written } from './written.js'

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
  /** A JSON schema. The engine checks what is in it when it makes a grammar of it. */
  schema: field.optional(field.some, undefined),
  ttl: field.number(0, MAX_TTL_S),
  history: field.list(turn, MAX_TURNS),
})

export type SavedSession = field.Of<typeof savedSession>

/** What a turn adds: its messages. */
const added = field.list(turn, MAX_TURNS)

/**
 * Reads a kept session. A last line that has no end is one that was being written when the server was killed: it is left out.
 * @throws Unfit for what is no session, naming what of it is missing or breaks its bounds
 */
export function parseSession(text: string): SavedSession {
  // by earlier versions the first line, which is all they write, has no end
  const [first = '', ...lines] = text.split('\n')
  const saved = savedSession(json(first, 'session', MAX_SAVED, MAX_DEPTH), 'session')
  lines.pop()
  if (lines.length > MAX_TURNS) throw new field.Unfit('session', `${lines.length} lines, at most ${MAX_TURNS}`)
  const history = [...saved.history]
  for (const line of lines) for (const one of added(json(line, 'turn', MAX_SAVED), 'turn')) history.push(one)
  if (history.length > MAX_TURNS) throw new field.Unfit('history', `${history.length} messages, at most ${MAX_TURNS}`)
  return { ...saved, history }
}

/** The first line of a kept session. */
export const sessionText = (session: Written<SavedSession>): string => `${JSON.stringify(session)}\n`
/** A further line of it. */
export const turnText = (messages: readonly Written<SavedSession['history'][number]>[]): string =>
  `${JSON.stringify(messages)}\n`
