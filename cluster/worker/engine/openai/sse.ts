import { fail } from '../../../../fs/errors.js'

/** One event's data, and so the longest line, in characters: a token with its frame takes a few hundred. */
const MAX_EVENT = 1024 * 1024

/**
 * The data of server-sent events (HTML standard, 9.2.6), however the bytes are cut: lines end in LF or CRLF, a blank one ends
 * an event, data lines are joined, comments and the other fields are skipped.
 * @throws FsError `i/o error: …` at an event over 1 MiB
 */
export async function* eventData(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<string, void> {
  const decoder = new TextDecoder()
  let rest = ''
  let data: string[] = []
  let size = 0
  for await (const chunk of bytes) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = lines.pop()!
    for (const each of lines) {
      const line = each.endsWith('\r') ? each.slice(0, -1) : each
      if (line === '') {
        if (data.length > 0) yield data.join('\n')
        data = []
        size = 0
      } else if (line.startsWith('data:')) {
        data.push(line.slice(line[5] === ' ' ? 6 : 5))
        size += line.length
      }
    }
    if (rest.length + size > MAX_EVENT) throw fail('io', `an event over ${MAX_EVENT} characters`)
  }
}
