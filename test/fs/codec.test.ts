/** Property tests of the message codec: pack, unpack, text, parse and the framer. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { FsError } from '../../fs/base/errors.js'
import { MAX_MSIZE } from '../../fs/base/limits.js'
import { Framer } from '../../fs/wire/framer.js'
import { type Message, messages, pack, packParts, size, unpack } from '../../fs/wire/message.js'
import type { Dialect } from '../../fs/wire/protocol.js'
import { parse, text } from '../../fs/wire/text.js'
import { anyMessage, dialects, message, typesOf } from './arbitrary.js'

/**
 * Assertions are Node's: there are tens of thousands, and only a failure is worth a line of output. A test runs as many
 * examples as it has time for; `SEED` repeats a run that failed.
 */
const runs = (numRuns: number) => ({ numRuns, ...(process.env.SEED && { seed: Number(process.env.SEED) }) })
const join = (parts: Uint8Array[]) => Uint8Array.from(Buffer.concat(parts))

function framed(chunks: Uint8Array[]): Uint8Array[] {
  const framer = new Framer()
  framer.most = MAX_MSIZE
  const out: Uint8Array[] = []
  for (const chunk of chunks) framer.push(chunk, bytes => out.push(bytes.slice()))
  return out
}

for (const dialect of dialects) {
  t.test(`${dialect}: every message survives a round trip through bytes and through text`, async () => {
    for (const type of typesOf(dialect))
      fc.assert(
        fc.property(message(type, dialect), m => {
          const bytes = pack(m, dialect)
          assert.equal(bytes.length, size(m, dialect))
          assert.deepEqual(unpack(bytes, dialect), m)
          assert.deepEqual(parse(text(m)), m)
        }),
        runs(120),
      )
  })

  t.test(`${dialect}: every truncation, and an extra byte, is refused`, async () => {
    for (const type of typesOf(dialect))
      fc.assert(
        fc.property(message(type, dialect), m => {
          const bytes = pack(m, dialect)
          for (let n = 0; n < bytes.length; n++) {
            if (n > 300 && n < bytes.length - 300) continue
            // Tfsync may end before datasync, which old clients omit
            if (m.type === 'Tfsync' && n === bytes.length - 4) continue
            assert.throws(() => unpack(resized(bytes, n), dialect), { message: /^bad message/ })
          }
          assert.throws(() => unpack(resized(bytes, bytes.length + 1), dialect), { message: /^bad message/ })
        }),
        runs(3),
      )
  })

  t.test(`${dialect}: a message packed as header and payload has the same bytes as one packed whole`, async () => {
    fc.assert(
      fc.property(anyMessage(dialect), m => {
        assert.deepEqual(join(packParts(m, dialect)), pack(m, dialect))
      }),
      runs(300),
    )
  })

  t.test(
    `${dialect}: any bytes unpack to a message that packs to the same bytes, or fail with bad message`,
    async () => {
      const numbers = typesOf(dialect).map(type => messages[type].type)
      const any = fc.tuple(fc.constantFrom(...numbers), fc.uint8Array({ maxLength: 80 }))
      fc.assert(
        fc.property(any, ([number, body]) => {
          const bytes = Uint8Array.from([0, 0, 0, 0, number, 1, 0, ...body])
          new DataView(bytes.buffer).setUint32(0, bytes.length, true)
          let m: Message
          try {
            m = unpack(bytes, dialect)
          } catch (error) {
            assert.match((error as Error).message, /^bad message/)
            assert.ok(error instanceof FsError)
            return
          }
          const again = m.type === 'Tfsync' && bytes.length === 11 ? resized(pack(m, dialect), 11) : pack(m, dialect)
          assert.deepEqual(again, bytes)
        }),
        runs(3000),
      )
    },
  )

  t.test(`${dialect}: the framer finds all messages however the stream is split`, async () => {
    fc.assert(
      fc.property(
        fc.array(anyMessage(dialect), { maxLength: 6 }),
        fc.array(fc.nat(1000), { maxLength: 30 }),
        (ms, cuts) => {
          const packed = ms.map(m => pack(m, dialect))
          const stream = join(packed)
          assert.deepEqual(framed(cut(stream, cuts)), packed)
        },
      ),
      runs(150),
    )
  })

  t.test(`${dialect}: the framer finds a message of each type split at every byte, and fed byte by byte`, async () => {
    for (const type of typesOf(dialect)) {
      const [m] = fc.sample(message(type, dialect), { numRuns: 1, seed: 9 })
      const one = pack(m!, dialect)
      if (one.length > 1000) continue
      const two = [one, one]
      const stream = join(two)
      for (let n = 0; n <= stream.length; n++)
        assert.deepEqual(framed([stream.subarray(0, n), stream.subarray(n)]), two, `${type} cut at ${n}`)
      assert.deepEqual(framed(Array.from(stream, byte => Uint8Array.of(byte))), two, `${type} byte by byte`)
    }
  })
}

t.test('a message type of another dialect, or of no dialect, is refused', async () => {
  const cases: [Message, Dialect][] = [
    [{ type: 'Tstat', tag: 1, fid: 1 }, '9P2000.L'],
    [{ type: 'Tlopen', tag: 1, fid: 1, flags: 0 }, '9P2000.u'],
    [{ type: 'Rlerror', tag: 1, ecode: 2 }, '9P2000'],
    [{ type: 'Rerror', tag: 1, ename: 'x' }, '9P2000.L'],
  ]
  for (const [m, dialect] of cases)
    assert.throws(() => unpack(pack(m, dialect), dialect), { message: /is not in 9P2000/ })
  const used: number[] = Object.values(messages).map(row => row.type)
  for (let number = 0; number < 256; number++)
    if (!used.includes(number))
      assert.throws(() => unpack(Uint8Array.from([7, 0, 0, 0, number, 0, 0]), '9P2000.L'), { message: /is not in/ })
})

t.test('an impossible size is refused at once, however it is split', async () => {
  for (const bytes of [
    [0, 0, 0, 0],
    [6, 0, 0, 0],
    [0, 0, 0, 0x80],
    [0xff, 0xff, 0xff, 0xff],
    [1, 0, 0x10, 0],
  ])
    for (let n = 0; n <= 4; n++)
      assert.throws(() => framed([Uint8Array.from(bytes.slice(0, n)), Uint8Array.from(bytes.slice(n))]), {
        message: /^bad message: size/,
      })
})

function resized(bytes: Uint8Array, length: number): Uint8Array {
  const out = new Uint8Array(length)
  out.set(bytes.subarray(0, length))
  if (length >= 4) new DataView(out.buffer).setUint32(0, length, true)
  return out
}

/** Splits at positions given in thousandths of the length. */
function cut(bytes: Uint8Array, cuts: number[]): Uint8Array[] {
  const at = cuts.map(c => Math.floor((c * bytes.length) / 1000)).sort((a, b) => a - b)
  const ends = [...at, bytes.length]
  return ends.map((end, i) => bytes.subarray(i === 0 ? 0 : ends[i - 1], end))
}
