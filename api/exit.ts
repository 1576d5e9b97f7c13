/** What a host says in its `events` of the end of a worker: `kind=worker-exited`. */
import * as field from './field.js'
import { records } from './text.js'

/** Most characters of one line of `events`: our own feed cuts each value at 1,000 (fs/kit/feed.ts). */
export const MAX_EVENT = 64 * 1024

const exited = field.object({
  boot: field.id,
  signal: field.matching(/^SIG[A-Z0-9]+$/, 16, 'the name of a signal'),
})

/**
 * Reads one line of a host's events.
 * @returns the start of a worker that has ended and the signal that ended it; undefined for every other event
 * @throws Unfit for a line that is none
 */
export function parseExit(line: string): field.Of<typeof exited> | undefined {
  const [event] = records(line, 'events', { characters: MAX_EVENT, count: 1 })
  if (event?.attrs.kind !== 'worker-exited' || event.attrs.signal === undefined) return undefined
  return exited(event.attrs, 'events')
}
