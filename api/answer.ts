/** The events with which a server answers a `generate` request: NDJSON (docs/files.md#generate). */
import { fail } from '../fs/base/errors.js'
import * as field from './field.js'
import { json, Lines } from './text.js'
import type { Written } from './written.js'

/** Most characters of one line. Tool calls make the longest lines. */
export const MAX_LINE = 16 * 1024 * 1024
/** Most characters of the text of a whole answer. */
export const MAX_ANSWER = 16 * 1024 * 1024
/** Most characters of an error's text. */
const MAX_REASON = 1_000
/** Token ids are 32-bit in llama.cpp. */
const MAX_ID = 0x7fffffff
/** Most ids of one event, and most tool calls: as many as a whole answer can have. */
const MAX_IDS = 1_048_576
const MAX_CALLS = 1_024

/** The subject of an error. */
const STREAM = 'event stream'

const count = field.optional(field.integer(0, Number.MAX_SAFE_INTEGER), undefined)
const none = undefined
/** The worker's name where the answer is read. A cluster replaces the name that its member gives. */
const worker = field.optional(field.line(255), none)

/** The fields of a line, by its `event`. Fields that only a newer peer knows are dropped. */
const events = {
  queued: field.object({ task: field.optional(field.serial, none), position: count, eta_ms: count }),
  prefill: field.object({ tokens: count, prompt_tokens: count }),
  start: field.object({
    worker,
    model: field.optional(field.line(255), none),
    prompt_tokens: count,
    reused_tokens: count,
    ttft_ms: count,
  }),
  /** The remote server that makes the text sent something, but there is no text yet. */
  alive: field.object({}),
  token: field.object({ text: field.text(MAX_LINE), ids: field.list(field.integer(0, MAX_ID), MAX_IDS) }),
  tool: field.object({ calls: field.list(value => value as unknown, MAX_CALLS) }),
  /** Another worker continues the answer behind `at` tokens. */
  resume: field.object({ worker, at: count }),
  end: field.object({
    reason: field.oneOf(['stop', 'length', 'tool', 'cancelled']),
    prompt_tokens: count,
    completion_tokens: count,
    tok_s: field.optional(field.number(0, 1e9), none),
  }),
  error: field.object({ error: field.optional(field.line(MAX_REASON), 'i/o error'), worker, tokens: count }),
}

/** An event as a server writes it. */
export type SaidEvent = {
  [K in keyof typeof events]: { readonly event: K } & Written<field.Of<(typeof events)[K]>>
}[keyof typeof events]

/** Why a generation ended by itself. */
export type EndReason = Exclude<field.Of<(typeof events)['end']>['reason'], 'cancelled'>

type Events = { [K in keyof typeof events]: { readonly event: K } & field.Of<(typeof events)[K]> }
/** An event as a reader gets it. */
export type AnswerEvent = Events[keyof Events]

/** Thrown for an event whose name is not in the table. */
class UnknownEvent extends field.Unfit {}

/**
 * Reads one line.
 * @throws Unfit for text that is not JSON, an unknown event, or a field that breaks its bounds
 */
export function parseAnswerEvent(line: string): AnswerEvent {
  const value = json(line, STREAM, MAX_LINE)
  const name = (value as { event?: unknown } | null)?.event
  if (typeof name !== 'string') throw new field.Unfit(STREAM, `expected an event, not ${field.shown(value)}`)
  if (!Object.hasOwn(events, name)) throw new UnknownEvent(STREAM, `unknown event ${field.shown(name)}`)
  const event = name as keyof typeof events
  return { event, ...(events[event] as field.Field<object>)(value, event) } as AnswerEvent
}

/** Reads the stream of one answer, in pieces of any size, and holds no more than one line of it. */
export class AnswerReader {
  readonly #lines = new Lines(STREAM, MAX_LINE)
  #characters = 0

  /**
   * @param of who answers: a `server`, which may be newer than this program, so that events that are not in the table
   *   are skipped; or a `member` of a cluster, which the cluster answers for, so that they are refused
   */
  constructor(readonly of: 'server' | 'member') {}

  #count(text: string): void {
    this.#characters += text.length
    if (this.#characters > MAX_ANSWER) throw new field.Unfit(STREAM, `an answer over ${MAX_ANSWER} characters`)
  }

  #event(line: string): AnswerEvent | undefined {
    try {
      return parseAnswerEvent(line)
    } catch (error) {
      if (this.of === 'server' && error instanceof UnknownEvent) return undefined
      throw error
    }
  }

  /**
   * @returns the events that are complete with this piece, one after another: those before a bad line are given
   * @throws FsError `bad message` for a line that is not an event, that is not UTF-8, or for a text over MAX_ANSWER
   */
  *take(piece: Uint8Array): Generator<AnswerEvent> {
    try {
      for (const line of this.#lines.take(piece)) {
        const event = this.#event(line)
        if (!event) continue
        if (event.event === 'token') this.#count(event.text)
        yield event
      }
    } catch (error) {
      throw error instanceof field.Unfit ? fail('badMessage', error.message) : error
    }
  }
}
