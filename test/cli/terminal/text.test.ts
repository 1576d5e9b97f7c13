/** Tests widths, clipping, sanitizing and layout of terminal text. */
import fc from 'fast-check'
import t from 'tap'
import { layout } from '../../../cli/terminal/layout.js'
import { sanitize } from '../../../cli/terminal/sanitize.js'
import { after, before, cells, clip, width } from '../../../cli/terminal/width.js'

t.test('width counts columns', async t => {
  t.equal(width('plain'), 5)
  t.equal(width('漢字'), 4)
  t.equal(width('e\u0301'), 1)
  t.equal(width('\x1b[1mbold\x1b[0m'), 4)
  t.equal(width('👩‍👩‍👧'), 2)
})

t.test('clip never cuts through a wide character or an escape sequence', async t => {
  t.equal(clip('plain', 3), 'pla')
  t.equal(clip('a漢字', 2), 'a')
  t.equal(clip('a漢字', 3), 'a漢')
  t.equal(clip('\x1b[31mred and more\x1b[39m', 3), '\x1b[31mred\x1b[39m')
  t.equal(clip('ae\u0301b', 2), 'ae\u0301')
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.nat(20), (text, columns) => width(clip(text, columns)) <= columns),
  )
})

t.test('cells lose nothing of a text', async () => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), text => [...cells(text)].join('') === text))
})

t.test('before and after step over whole graphemes', async t => {
  const text = 'ae\u0301👩‍👩‍👧z'
  t.equal(after(text, 1), 3)
  t.equal(before(text, 3), 1)
  t.equal(after(text, 3), text.length - 1)
  t.equal(before(text, text.length - 1), 3)
  t.equal(before(text, 0), 0)
  t.equal(after(text, text.length), text.length)
})

t.test('sanitize makes control characters visible', async t => {
  t.equal(sanitize('plain\n\ttext'), 'plain\n\ttext')
  t.equal(sanitize('\x1b]52;c;aGk=\x07'), '␛]52;c;aGk=␇')
  t.equal(sanitize('\x9b31m'), '␛[31m')
  t.equal(sanitize('a\r\nb\rc'), 'a\nb␍c')
  t.equal(sanitize('\x7f\0'), '␡␀')
  t.equal(sanitize('user\u202egnp.exe'), 'user\ufffdgnp.exe')
  t.equal(sanitize('\ud800 😀'), '\ufffd 😀')
})

t.test('sanitize leaves no control character, wherever the text is cut', async () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.nat(), (text, at) => {
      const cut = at % (text.length + 1)
      return !/(?![\n\t])\p{Cc}/u.test(sanitize(text.slice(0, cut)) + sanitize(text.slice(cut)))
    }),
  )
})

t.test('layout folds lines at the width of the screen and places the cursor', async t => {
  const rows = (text: string, cursor: number, columns = 10) => {
    const frame = layout('> ', '. ', text, cursor, columns)
    return [...frame.rows.map(row => row.text), `${frame.row},${frame.column}`]
  }
  t.same(rows('', 0), ['> ', '0,2'])
  t.same(rows('abc', 1), ['> abc', '0,3'])
  t.same(rows('12345678', 8), ['> 12345678', '', '1,0'])
  t.same(rows('12345678', 7), ['> 12345678', '0,9'])
  t.same(rows('123456789012345678', 9), ['> 12345678', '9012345678', '1,1'])
  t.same(rows('one\ntwo', 4), ['> one', '. two', '1,2'])
  t.same(rows('1234567漢', 8), ['> 1234567', '漢', '1,2'])
  t.same(rows('1234567漢', 7), ['> 1234567', '漢', '1,0'])
  t.same(rows('123456漢', 7), ['> 123456漢', '', '1,0'])
  t.same(rows('e\u0301x', 2), ['> e\u0301x', '0,3'])
  t.same(rows('a\tb', 2), ['> a b', '0,4'])
  t.same(rows('\x1b[31m', 0), ['> ␛[31m', '0,2'])
})

t.test('no row of a layout is wider than the screen, and the cursor is inside it', async () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.nat(), fc.integer({ min: 4, max: 30 }), (text, at, columns) => {
      const frame = layout('> ', '. ', text, at % (text.length + 1), columns)
      return (
        frame.rows.every(row => width(row.text) <= columns && width(row.text) === row.width) &&
        frame.column < columns &&
        frame.row < frame.rows.length
      )
    }),
  )
})
