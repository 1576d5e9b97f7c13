/** A conversation as limbot keeps it, and as somebody else may hand one on: a line of JSON about it, then a line for each message. */
import { MAX_TEXT } from './conversation.js'
import * as field from './field.js'
import { json } from './text.js'

/** Bytes of one file. */
export const MAX_CONVERSATION = 64 * 1024 * 1024
/** Most characters of a line: a message, its characters as JSON may write them, and what was typed. */
const MAX_LINE = MAX_CONVERSATION

const none = undefined
const yes = field.optional(field.oneOf([true]), none)
const reason = field.line(1000)

const head = field.object({
  limbot: (value, name): 1 => {
    if (value !== 1) throw new field.Unfit(name, 'not a conversation of limbot')
    return value
  },
  id: field.word,
  created: field.optional(field.line(64), ''),
  title: field.optional(field.line(1000), ''),
  /** What was chosen for it: settings by their names; each is read as one (ctl/common/limbotconf.ts). */
  settings: field.optional(field.some, none),
})

const message = field.object({
  role: field.oneOf(['user', 'assistant']),
  content: field.text(MAX_TEXT),
  /** What the person typed, where the content holds attached files as well. An edit starts from it. */
  typed: field.optional(field.text(MAX_TEXT), none),
  /** An answer that was ended before its own end: by the user, or by what this says. */
  stopped: field.optional<true | string, undefined>(
    (value, name) => (value === true ? value : reason(value, name)),
    none,
  ),
  /** It has been summed up: it is kept to be read, and the model does not see it any more. */
  past: yes,
})

/** One message of a conversation. */
export type Message = field.Of<typeof message>

/** @throws Unfit */
export const parseHead = (line: string) => head(json(line, 'the first line', MAX_LINE), 'the first line')
/** @throws Unfit */
export const parseMessage = (line: string): Message => message(json(line, 'the line', MAX_LINE), 'the line')
