/**
 * Parses a conversation as limbot saves it, or as somebody hands one on: a line of JSON about it, then a line for each
 * message.
 */
import { MAX_TEXT } from './conversation.js'
import * as field from './field.js'
import { json } from './text.js'

/** Most bytes of one file. */
export const MAX_CONVERSATION = 64 * 1024 * 1024
/** Most characters of a line: a message as JSON may escape it, and what the user typed. */
const MAX_LINE = MAX_CONVERSATION

const none = undefined
const yes = field.optional(field.oneOf([true]), none)
const reason = field.line(1000)

const head = field.object({
  limbot: (value, name): 1 => {
    if (value !== 1) throw new field.Unfit(name, 'not a limbot conversation')
    return value
  },
  id: field.word,
  created: field.optional(field.line(64), ''),
  title: field.optional(field.line(1000), ''),
  /** The settings chosen for it, by name. Each is checked where it is applied (cli/limbotconf.ts). */
  settings: field.optional(field.some, none),
})

const message = field.object({
  role: field.oneOf(['user', 'assistant']),
  content: field.text(MAX_TEXT),
  /** What the user typed, where the content also holds attached files. Editing the message starts from this text. */
  typed: field.optional(field.text(MAX_TEXT), none),
  /** Set on an answer that was cut short: true if the user stopped it, otherwise the reason. */
  stopped: field.optional<true | string, undefined>(
    (value, name) => (value === true ? value : reason(value, name)),
    none,
  ),
  /** A summary has replaced it: it stays readable, but is not sent to the model any more. */
  past: yes,
})

/** One message of a conversation. */
export type Message = field.Of<typeof message>

/** Reads the first line. @throws Unfit */
export const parseHead = (line: string) => head(json(line, 'the first line', MAX_LINE), 'the first line')
/** Reads the line of a message. @throws Unfit */
export const parseMessage = (line: string): Message => message(json(line, 'the line', MAX_LINE), 'the line')
