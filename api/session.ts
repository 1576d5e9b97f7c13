/**
 * Reads and writes the file in which a cluster's server saves a session for the next server: `session-N` in its state
 * directory. The first line is the session as it was when the file was written; each further line holds the messages
 * that a turn has added to the history since.
 */
import { MAX_DEPTH, MAX_MODEL, MAX_TEXT, MAX_TTL_S, MAX_TURNS, turn } from './conversation.js'
import * as field from './field.js'
import { sampling } from './sampling.js'
import { json } from './text.js'
import type { Written } from './written.js'

/**
 * Most characters of one file: the longest history and the longest system prompt, in which JSON may write each
 * character as six (`\u0001`), with a schema, names and brackets besides.
 */
export const MAX_SAVED = 6 * 2 * MAX_TEXT + MAX_TEXT

const savedSession = field.object({
  user: field.object({
    name: field.user,
    uid: field.integer(0, 0xffffffff),
    role: field.oneOf(['read', 'use', 'admin']),
    relayed: field.optional(field.oneOf([true]), undefined),
  }),
  settings: field.object({ sampling, system: field.optional(field.text(MAX_TEXT), '') }),
  model: field.optional(field.text(MAX_MODEL), undefined),
  /** A JSON schema, which is nested in the session. The engine checks its content when it builds a grammar from it. */
  schema: field.optional(field.some, undefined),
  ttl: field.number(0, MAX_TTL_S),
  history: field.list(turn, MAX_TURNS),
})

/** A session as it is saved. */
export type SavedSession = field.Of<typeof savedSession>

/** The messages that a turn adds. */
const added = field.list(turn, MAX_TURNS)

/**
 * Reads a saved session. An unfinished last line was being written when the server was killed, and is skipped.
 * @throws Unfit for anything else, naming what is missing or breaks its bounds
 */
export function parseSession(text: string): SavedSession {
  // earlier versions write only the first line, without a newline
  const [first = '', ...lines] = text.split('\n')
  const saved = savedSession(json(first, 'session', MAX_SAVED, MAX_DEPTH + 1), 'session')
  lines.pop()
  if (lines.length > MAX_TURNS) throw new field.Unfit('session', `${lines.length} lines, at most ${MAX_TURNS}`)
  const history = [...saved.history]
  for (const line of lines) for (const one of added(json(line, 'turn', MAX_SAVED), 'turn')) history.push(one)
  if (history.length > MAX_TURNS) throw new field.Unfit('history', `${history.length} messages, at most ${MAX_TURNS}`)
  return { ...saved, history }
}

/** Formats the first line of a saved session. */
export const sessionText = (session: Written<SavedSession>): string => `${JSON.stringify(session)}\n`
/** Formats a further line of it, for one turn. */
export const turnText = (messages: readonly Written<SavedSession['history'][number]>[]): string =>
  `${JSON.stringify(messages)}\n`
