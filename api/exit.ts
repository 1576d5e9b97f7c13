/** Parses the events in which a host reports the end of a worker: `kind=worker-exited` in its `events`. */
import * as field from './field.js'
import { records } from './text.js'

/** Most characters of one line of `events`. Our own event log cuts each value at 1,000 (fs/kit/event-log.ts). */
export const MAX_EVENT = 64 * 1024

/** What a cluster uses of such an event (api/events.ts has all of its attributes). */
export const exited = {
  boot: field.id,
  signal: field.optional(field.matching(/^SIG[A-Z0-9]+$/, 16, 'the name of a signal'), undefined),
  code: field.optional(field.integer(0, 0xffffffff), undefined),
  /** `stopped`, `killed` or `crashed`. */
  cause: field.optional(field.word, undefined),
  /** The last line the worker printed, or what ended it. */
  error: field.optional(field.line(1000), undefined),
}

const read = field.object(exited)

/** The end of a worker's process, as its host reports it: by a signal, or with an exit code other than 0. */
export type Exit = field.Of<typeof read>

/**
 * Reads one line of a host's events.
 * @returns which start of a worker ended, and how; undefined for every other event, and for an exit with code 0
 * @throws Unfit for a malformed line
 */
export function parseExit(line: string): Exit | undefined {
  const [event] = records(line, 'events', { characters: MAX_EVENT, count: 1 })
  if (event?.attrs.kind !== 'worker-exited') return undefined
  const { signal, code = '0' } = event.attrs
  if (signal === undefined && code === '0') return undefined
  return read(event.attrs, 'events')
}
