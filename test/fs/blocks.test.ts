/** Blocks of bytes, and the memory accounting of a log. */
import t from 'tap'
import { AppendLog } from '../../fs/kit/append-log.js'
import { Blocks } from '../../fs/kit/blocks.js'

const BLOCK = 64 * 1024
const never = { signal: new AbortController().signal }

/** A holding that counts as a server's does, up to a limit. */
function counter(limit = Number.POSITIVE_INFINITY) {
  const of = {
    held: 0,
    fits: (bytes: number) => of.held + bytes <= limit,
    owe: () => false,
    grow(bytes: number) {
      if (of.held + bytes > limit) throw new Error('full')
      of.held += bytes
    },
    shrink(bytes: number) {
      of.held -= bytes
    },
    free() {
      of.held = 0
    },
  }
  return of
}

t.test('a text is the same bytes as its UTF-8, whatever blocks it is in', async t => {
  const log = new AppendLog()
  const texts = [
    'ab',
    'ä',
    '日本語',
    '😀',
    '\ud800',
    '\udc00x',
    'y'.repeat(BLOCK - 30),
    '😀'.repeat(20),
    'ü'.repeat(BLOCK),
  ]
  const expected = Buffer.concat(texts.map(text => Buffer.from(text)))
  for (const text of texts) log.append(text)
  t.equal(log.length, expected.length)
  const all = await log.read(0, expected.length, never)
  t.ok(expected.equals(all))
  // the decoder of the text is another one beyond a block
  t.equal(log.text(), expected.toString())
  const short = new AppendLog()
  short.append('\ufeffé')
  t.equal(short.text(), '\ufeffé')
})

t.test('bytes are read as they were written, whatever blocks they are in', async t => {
  const blocks = new Blocks()
  const all: number[] = []
  for (const size of [1, 511, 1, 3000, BLOCK, 7, 3 * BLOCK + 1, 0, 100]) {
    const piece = Uint8Array.from({ length: size }, (_, i) => (i * 7 + size) % 251)
    blocks.append(piece)
    for (const byte of piece) all.push(byte)
  }
  t.equal(blocks.length, all.length)
  for (const [offset, count] of [
    [0, 10],
    [500, 100],
    [BLOCK - 1, 2],
    [10, 2 * BLOCK],
    [0, all.length + 5],
    [all.length, 1],
  ] as const)
    t.ok(Buffer.from(all.slice(offset, offset + count)).equals(blocks.read(offset, count)), `${offset} ${count}`)
})

t.test('text that spans blocks is decoded correctly', async t => {
  const blocks = new Blocks()
  const text = `a${'€'.repeat(BLOCK)}`
  blocks.append(new TextEncoder().encode(text))
  t.equal(blocks.text(), text)
})

t.test('bytes that a reader holds do not change when more are appended', async t => {
  const blocks = new Blocks()
  blocks.append(Uint8Array.of(1, 2, 3))
  const given = blocks.read(0, 3)
  blocks.append(new Uint8Array(BLOCK).fill(9))
  t.same([...given], [1, 2, 3])
})

t.test('each block is counted before it is allocated, and a refusal changes nothing', async t => {
  const holding = counter(2 * BLOCK)
  const blocks = new Blocks(holding)
  blocks.append(new Uint8Array(BLOCK + 1))
  t.equal(holding.held, 2 * BLOCK)
  t.throws(() => blocks.append(new Uint8Array(BLOCK)), /full/)
  t.equal(blocks.length, BLOCK + 1)
  blocks.clear()
  t.equal(holding.held, 0)
})

t.test('a log keeps its bytes until the last keeper has released them', async t => {
  const holding = counter()
  const log = new AppendLog(1000, holding)
  const [first, second] = [log.keep(), log.keep()]
  log.append('abc')
  log.end()
  first()
  first()
  t.equal(Buffer.from(await log.read(0, 10, never)).toString(), 'abc')
  second()
  t.equal(holding.held, 0)
  t.throws(() => log.read(0, 10, never), /file does not exist: it was removed/)
})
