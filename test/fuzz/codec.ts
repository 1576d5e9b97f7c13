/** Fuzzes the codec of 9P messages, as bytes and as text. */

import { isDeepStrictEqual } from 'node:util'
import { FsError } from '../../api/errors.js'
import { parseDirents } from '../../fs/wire/field.js'
import { type Message, pack, packParts, size, unpack } from '../../fs/wire/message.js'
import type { Dialect } from '../../fs/wire/protocol.js'
import { parse, text } from '../../fs/wire/text.js'
import { frame, unframe } from './frames.js'
import { requests } from './messages.js'
import { replies } from './replies.js'
import { fault, type Target } from './target.js'

const dialects: readonly Dialect[] = ['9P2000', '9P2000.u', '9P2000.L']

/**
 * Bytes as messages: a message that can be unpacked packs to the same bytes, and its text reads back as the same
 * message.
 */
export const codec: Target = {
  name: 'codec',
  framed: true,
  seeds: () =>
    dialects.flatMap((dialect, i) =>
      [...requests(dialect), ...replies(dialect)].map(list => frame(i, list.slice(0, 20))),
    ),
  run(input) {
    const dialect = dialects[input[0]! % 3] ?? '9P2000'
    for (const bytes of unframe(input)) {
      let m: Message
      try {
        m = unpack(bytes, dialect)
        if (m.type === 'Rreaddir') parseDirents(m.data)
      } catch (error) {
        if (error instanceof FsError && error.is('badMessage')) continue
        throw error
      }
      const again = pack(m, dialect)
      // old clients leave out the last field of Tfsync
      if (m.type !== 'Tfsync' && Buffer.compare(again, bytes) !== 0) fault(`${m.type} packs to other bytes`)
      if (size(m, dialect) !== again.length) fault(`${m.type}: its size differs`)
      if (Buffer.compare(Buffer.concat(packParts(m, dialect)), again) !== 0) fault(`${m.type}: its parts differ`)
      roundTrip(m)
    }
  },
}

function roundTrip(m: Message): void {
  const line = text(m)
  if (/[\n\r]/.test(line)) fault(`${m.type}: its text is not one line`)
  // a payload that is a view on a Buffer counts as equal to one on plain bytes
  const same = 'data' in m ? { ...m, data: Uint8Array.from(m.data) } : m
  if (!isDeepStrictEqual(parse(line), same)) fault(`${line} reads back as another message`)
}

/** Any text as a message: it is read, or refused with a SyntaxError. What was read reads back as the same message. */
export const lines: Target = {
  name: 'text',
  words: [
    'Tread ',
    'tag ',
    '~0',
    "''",
    '"\\u0000"',
    '0x00',
    '[',
    ']',
    '(',
    ')',
    'qid ',
    'stat (',
    'data ',
    'wname [',
    '0o7',
    'fid 1 ',
  ],
  seeds: () =>
    dialects.flatMap(dialect =>
      [...requests(dialect), ...replies(dialect)]
        .flat()
        .map(bytes => new TextEncoder().encode(text(unpack(bytes, dialect)))),
    ),
  run(input) {
    let m: Message
    try {
      m = parse(new TextDecoder().decode(input))
    } catch (error) {
      if (error instanceof SyntaxError) return
      throw error
    }
    roundTrip(m)
  },
}
