/** Parses server-sent events. */
import { fail } from '../../../../api/errors.js'
import { MAX_EVENT } from './limits.js'

/**
 * A server-sent event, or `idle`: bytes came but no event was complete, such as a comment that keeps the connection
 * alive.
 */
export type Event = { readonly type: string; readonly data: string } | 'idle'

const ends = /\r\n|\n|\r/g

/**
 * Parses server-sent events (HTML standard, 9.2.6), however the bytes are cut. Lines end in LF, CRLF or CR; an empty
 * line ends an event; data lines are joined; comments and fields other than `event` and `data` are skipped. Unlike in
 * the standard, the end of the stream also completes an event, because many servers leave out the last empty line.
 * @throws FsError `the upstream failed: …` at an event over 1 MiB
 */
export async function* events(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Event, void> {
  const decoder = new TextDecoder()
  let rest = ''
  let type = ''
  let data: string[] = []
  let size = 0

  /** Takes one line. @returns the event that it completes */
  const take = (line: string): Event | undefined => {
    if (line === '') {
      const event = data.length > 0 ? { type, data: data.join('\n') } : undefined
      type = ''
      data = []
      size = 0
      return event
    }
    const colon = line.indexOf(':')
    const [name, value] = colon < 0 ? [line, ''] : [line.slice(0, colon), line.slice(colon + 1).replace(/^ /, '')]
    if (name === 'data') data.push(value)
    else if (name === 'event') type = value
    if (name === 'data' || name === 'event') size += line.length
    return undefined
  }

  for await (const chunk of bytes) {
    const text = rest + decoder.decode(chunk, { stream: true })
    let from = 0
    let given = false
    for (const { 0: end, index } of text.matchAll(ends)) {
      // a CR at the end of the text so far may be half of a CRLF
      if (end === '\r' && index === text.length - 1) break
      const event = take(text.slice(from, index))
      from = index + end.length
      // comments without end take no memory, but data lines without an empty line do
      if (size > MAX_EVENT) break
      if (event) {
        given = true
        yield event
      }
    }
    rest = text.slice(from)
    if (rest.length + size > MAX_EVENT) throw fail('upstreamFailed', `an event over ${MAX_EVENT} characters`)
    if (!given) yield 'idle'
  }
  for (const line of [rest.replace(/\r$/, ''), '']) {
    const event = take(line)
    if (event) yield event
  }
}
