/** Tests of the readers for single values and whole texts. */
import t, { type Test } from 'tap'
import * as field from '../../api/field.js'
import { deeper, json, Lines, records } from '../../api/text.js'

const unfit = (t: Test, read: () => unknown, why: RegExp) => t.throws(read, { name: 'Unfit', message: why })

/** One value for each kind of harm to a terminal, a log, a listing or a path. */
const hostile = ['', ' ', 'a b', 'a/b', '..', '.', 'a\nb', 'a\u001b[2Jb', 'a\u009bb', 'a\u202eb', "a'b", '\ud800']

t.test('names, ids and words with characters that would harm a listing, a log or a terminal are refused', async t => {
  for (const [kind, read] of Object.entries({ name: field.name, id: field.id, word: field.word }))
    for (const value of hostile.filter(value => kind !== 'word' || !['a/b', '..', '.'].includes(value)))
      unfit(t, () => read(value, kind), new RegExp(`^${kind}: `))
  t.equal(field.name('worker-0001', 'name'), 'worker-0001')
  t.equal(field.word('1.5.0-rc/1', 'version'), '1.5.0-rc/1')
  for (const value of hostile) unfit(t, () => field.serial(value, 'task'), /^task: /)
  unfit(t, () => field.name('x'.repeat(65), 'name'), /^name: 65 characters, at most 64$/)
  t.equal(field.user('Ann Öx', 'user'), 'Ann Öx')
  for (const value of ['', 'a/b', 'a\u001bb']) unfit(t, () => field.user(value, 'user'), /^user: /)
})

t.test('a model has any printable name, including names with spaces and those of remote servers', async t => {
  for (const name of ['llama-7b', 'my model', 'meta/llama-3:8b', 'Ω', 'x']) t.equal(field.model(name, 'model'), name)
  for (const name of ['', '.hidden', ' x', 'x ', 'a\nb', 'a\u001bb', 'a\u202eb', 'x'.repeat(256)])
    unfit(t, () => field.model(name, 'model'), /^model: /)
})

t.test('a message about a refused value is one short line without control characters', async t => {
  const values = ['\u001b]0;title\u0007', 'x'.repeat(30_000_000), 'a\nb', { a: 1 }, ['x'], Number.NaN]
  for (const value of values) {
    try {
      field.name(value, 'name')
      t.fail('it is refused')
    } catch (error) {
      const { message } = error as Error
      t.ok(message.length < 150, `${message.length} characters`)
      t.notMatch(message, /\p{Cc}/u)
    }
  }
})

t.test('free text becomes one harmless line and is cut', async t => {
  t.equal(field.plain('no\nsuch \u001b[31mfile', 100), 'no such \ufffd[31mfile')
  t.equal(field.plain('x'.repeat(50), 10), `${'x'.repeat(9)}…`)
  t.equal(field.line(5)('hello', 'error'), 'hello')
})

t.test('numbers have a range, and text counts as a number only in decimal notation', async t => {
  const slots = field.integer(0, 256)
  t.equal(slots(4, 'slots'), 4)
  t.equal(slots('4', 'slots'), 4)
  t.equal(field.number(0, 1)('0.25', 'progress'), 0.25)
  for (const value of [-1, 257, 1.5, '', ' 4', '0x10', '1e400', 'NaN', Number.NaN, true, null, [4]])
    unfit(t, () => slots(value, 'slots'), /^slots: /)
  unfit(t, () => slots('9'.repeat(1_000_000), 'slots'), /^slots: /)
})

t.test('lists have a maximum length, words come from a set, and optional values may be missing', async t => {
  t.same(field.commas(field.id, 2, 100)('a,b', 'clusters'), ['a', 'b'])
  t.same(field.commas(field.id, 2, 100)('', 'clusters'), [])
  unfit(t, () => field.commas(field.id, 2, 100)('a,b,c', 'clusters'), /^clusters: 3 items, at most 2$/)
  unfit(t, () => field.commas(field.id, 9, 4)('a,b,c', 'clusters'), /^clusters: 5 characters, at most 4$/)
  unfit(
    t,
    () => field.list(field.id, 9)(['a', 'a/b'], 'ids'),
    /^ids\[1\]: expected letters, digits and "-" only, not "a\/b"$/,
  )
  t.equal(field.oneOf(['yes', 'no'])('no', 'loaded'), 'no')
  unfit(t, () => field.oneOf(['yes', 'no'])('toString', 'loaded'), /expected one of yes no, not "toString"/)
  t.equal(field.optional(field.id, '')(undefined, 'host_id'), '')
})

t.test('only the known fields of an object are returned', async t => {
  const read = field.object({ id: field.id, note: field.optional(field.line(10), undefined) })
  t.same(read({ id: 'a', more: 1 }, 'worker'), { id: 'a' })
  unfit(t, () => read(JSON.parse('{"__proto__": {"id": "a"}}'), 'worker'), /^id: /)
  unfit(t, () => read([], 'worker'), /^worker: expected an object, not a list$/)
})

t.test('records and JSON are refused for their size, count or depth before they are parsed', async t => {
  const most = { characters: 100, count: 2 }
  t.equal(records('a x=1\nb y=2\n', 'status', most).length, 2)
  unfit(t, () => records('x'.repeat(101), 'status', most), /^status: 101 characters, at most 100$/)
  unfit(t, () => records('a\n'.repeat(5), 'status', most), /^status: 6 lines, at most 2$/)
  unfit(t, () => records("a x='", 'status', most), /^status: line 1: a quote is not closed$/)
  t.same(json('{"a":[1]}', 'file', 100), { a: [1] })
  unfit(
    t,
    () => json('['.repeat(5000) + ']'.repeat(5000), 'file', 100_000),
    /^file: lists and objects are nested over 64 deep$/,
  )
  unfit(t, () => json('{"a"', 'file', 100), /^file: not JSON/)
  t.notOk(deeper('{"a":"[[[[[\\"[[["}', 2), 'brackets in strings are text')
  t.ok(deeper('[[[', 2))
})

t.test('a stream is cut into lines wherever its pieces end, and a line that is too long is refused', async t => {
  const lines = new Lines('events', 10)
  const bytes = new TextEncoder().encode('one\ntwö\nthree')
  const got: string[] = []
  for (const byte of bytes) got.push(...lines.take(Uint8Array.of(byte)))
  t.same(got, ['one', 'twö'])
  unfit(t, () => lines.take(new Uint8Array(64).fill(0x78)), /^events: a line over 10 characters$/)
})
