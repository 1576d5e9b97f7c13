/** `task/N/status` and `session/N/status`: the state and the counts of an exchange, and of a session's last turn. */
import { fail } from '../fs/base/errors.js'
import { MAX_MODEL } from './conversation.js'
import * as field from './field.js'
import { recordFile } from './record-file.js'

const none = undefined
const count = field.optional(field.integer(0, Number.MAX_SAFE_INTEGER), none)
const rate = field.optional(field.number(0, 1e12), none)
const state = field.optional(field.word, '')
const error = field.optional(field.line(1000), none)

/** The counts of one exchange: all that are known so far. */
const counts = {
  prompt_tokens: count,
  /** Tokens of the prompt that were in the KV cache. */
  reused_tokens: count,
  completion_tokens: count,
  tok_s: rate,
}

const task = {
  id: field.serial,
  /** `queued`, `prefill`, `running`, `done`, `failed` or `cancelled`. */
  state,
  user: field.optional(field.user, ''),
  worker: field.optional(field.line(255), ''),
  /** How many tasks are before it, and when it is expected to start. */
  position: count,
  eta_s: rate,
  tries: count,
  resumed: count,
  ...counts,
  prefill_tokens: count,
  ttft_ms: rate,
  session: field.optional(field.serial, none),
  reason: field.optional(field.word, none),
  error,
}

const session = {
  id: field.serial,
  user: field.optional(field.user, ''),
  /** `idle` or `busy`. */
  state,
  model: field.optional(field.line(MAX_MODEL), none),
  messages: count,
  /** The task of its last turn. */
  task: field.optional(field.serial, none),
  ...counts,
  ttl_s: rate,
  error,
}

/** `task/N/status`. */
export const taskStatus = recordFile('task', { task }, {})
/** `session/N/status`. */
export const sessionStatus = recordFile('session', { session }, {})

/** Reads the number of a new session, as `session/clone` gives it. @throws FsError `bad message` for any other text */
export function sessionNumber(text: string): string {
  try {
    return field.serial(text.trim(), 'clone')
  } catch (error) {
    throw fail('badMessage', (error as Error).message)
  }
}

/** The record of a task, as a program reads it. */
export type TaskRecord = field.Shaped<typeof task>
