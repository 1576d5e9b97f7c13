/** The layout of answers, as Markdown and as plain text. */
import { Chalk } from 'chalk'
import fc from 'fast-check'
import t from 'tap'
import { cells, width } from '../../cli/terminal/width.js'
import { Markdown } from '../../limbot/markdown.js'
import { Plain, type Renderer } from '../../limbot/renderer.js'

const styles = new Chalk({ level: 1 })
/** Styles as readable tags. */
const marks = {
  bold: (s: string) => `<b>${s}</b>`,
  italic: (s: string) => `<i>${s}</i>`,
  dim: (s: string) => `<d>${s}</d>`,
  cyan: (s: string) => `<c>${s}</c>`,
  underline: (s: string) => `<u>${s}</u>`,
  strikethrough: (s: string) => `<s>${s}</s>`,
}
const set = (text: string, columns = 40, look: typeof marks = marks): string => {
  const one = new Markdown(() => columns, look)
  return one.push(text) + one.end()
}
/** The text without colours. */
const plainly = (text: string): string => [...cells(text)].filter(cell => !cell.startsWith('\x1b[')).join('')
/** The rows that are returned after each piece of text, and at the end. */
const pieces = (one: Renderer, ...texts: string[]): string[] => [...texts.map(text => one.push(text)), one.end()]

const cases: readonly (readonly [what: string, source: string, shown: string])[] = [
  ['inline marks', 'a **b** *c* `d` ~~e~~ f_g_h', 'a <b>b</b> <i>c</i> <c>d</c> <s>e</s> f_g_h\n'],
  ['marks in marks', '**a *b* c**', '<b>a</b><b> </b><b><i>b</i></b><b> </b><b>c</b>\n'],
  ['a link shows its address', '[l](http://x.y)', '<u>l</u><d> </d><d>(http://x.y)</d>\n'],
  ['headings', '# One\n\n## Two\ntext', '<b><u>One</u></b>\n\n<b>Two</b>\ntext\n'],
  ['a paragraph keeps its lines', 'one\ntwo\n\n\nthree', 'one\ntwo\n\nthree\n'],
  [
    'code is not changed',
    '```js\nlet  x = "*a*"\n\n```\nend',
    '<d>```js</d>\n<c>let  x = "*a*"</c>\n<c></c>\n<d>```</d>\nend\n',
  ],
  ['lists', '- a\n- b\n  - c\n1. d\n2. e', '• a\n• b\n  • c\n1. d\n2. e\n'],
  ['a long item of a list', '- a long line that is broken in two here', '• a long line that is broken in two here\n'],
  ['tasks', '- [x] done\n- [ ] open', '• [x] done\n• [ ] open\n'],
  ['a quotation', '> a\n> b', '<d>│</d> a\n<d>│</d> b\n'],
  ['a rule', 'a\n\n---\n\nb', `a\n\n<d>${'─'.repeat(40)}</d>\n\nb\n`],
  ['text that is not Markdown', '2 * 3 < 4 & a_b', '2 * 3 < 4 & a_b\n'],
  ['escape sequences', 'a\x1b[31mb\x1b]52;c;x\x07', 'a␛[31mb␛]52;c;x␇\n'],
  ['an entity stays as it is written', 'a&#27;b', 'a&#27;b\n'],
  ['a fence without an end', '```\nx', '<d>```</d>\n<c>x</c>\n'],
  ['a line without an end', 'x', 'x\n'],
]
for (const [what, source, shown] of cases) {
  t.test(`Markdown: ${what}`, async t => {
    t.equal(set(source), shown)
  })
}

t.test('a table has aligned columns, also with wide characters, and fits the screen', async t => {
  const plain = Object.fromEntries(Object.keys(marks).map(key => [key, (s: string) => s])) as typeof marks
  t.equal(
    set('| a | 漢字 |\n|--:|:--|\n| 1 | 2 |\n| 10 | three |', 40, plain),
    ' a │ 漢字\n───┼──────\n 1 │ 2\n10 │ three\n',
  )
  const wide = set(`| a | b |\n|---|---|\n| ${'word '.repeat(20)}| ${'x'.repeat(30)} |`, 30, plain)
  for (const row of wide.split('\n')) t.ok(width(row) <= 30, row)
  t.equal(wide.match(/word/g)?.length, 20)
})

t.test('a row is returned as soon as it is final', async t => {
  const md = () => new Markdown(() => 20, marks)
  t.same(pieces(md(), 'one\n', 'two'), ['one\n', '', 'two\n'], 'a line')
  t.same(pieces(md(), '```\n', 'a\n', 'b'), ['<d>```</d>\n', '<c>a</c>\n', '', '<c>b</c>\n'], 'code')
  t.same(pieces(md(), '- a\n', '- b\n', 'c'), ['', '• a\n', '', '• b\n  c\n'], 'items')
  t.same(pieces(md(), '# a\n', 'b'), ['<b><u>a</u></b>\n', '', 'b\n'], 'a heading')
  const long = pieces(md(), 'aaaa bbbb cccc dddd ', 'eeee ffff gggg hhhh ', 'iiii')
  t.same(long, ['', 'aaaa bbbb cccc dddd\n', 'eeee ffff gggg hhhh\n', 'iiii\n'], 'rows of a long line')
})

t.test('an open mark or table is held back until it ends', async t => {
  const md = () => new Markdown(() => 20, marks)
  t.same(pieces(md(), 'a **b\n', 'c**\n', '\n'), ['', 'a <b>b</b>\n<b>c</b>\n', '\n', ''])
  t.same(pieces(md(), '| a |\n', '|---|\n', '| 1 |\n').slice(0, 3), ['', '', ''])
  t.equal(pieces(md(), '`', 'a', '`').at(-1), '<c>a</c>\n')
})

t.test('the shown letters do not depend on where the source is cut into pieces', async () => {
  const part = fc.constantFrom(
    'word ',
    'another word ',
    '**bold** ',
    '`code` ',
    '*',
    '_',
    '\n',
    '\n\n',
    '# head\n',
    '- item\n',
    '- item two words\n',
    '1. first\n',
    '```js\nlet x = 1\n\ny()\n```\n',
    '> quoted\n\n',
    '漢字漢字 ',
    'e\u0301',
    '~~gone~~ ',
    '[l](http://x) ',
    '---\n\n',
    'a'.repeat(30),
    '\x1b[1m',
    '  ',
  )
  fc.assert(
    fc.property(fc.array(part, { maxLength: 25 }), fc.infiniteStream(fc.integer({ min: 1, max: 9 })), (parts, cuts) => {
      const source = parts.join('')
      const md = new Markdown(() => 24, styles)
      let out = ''
      for (let at = 0; at < source.length; ) {
        const n = cuts.next().value as number
        out += md.push(source.slice(at, at + n))
        at += n
      }
      out += md.end()
      // a row returned early may have interpreted marks differently, but no letter is lost or doubled
      const letters = (text: string) => text.replaceAll(/[^\p{L}␛]/gu, '').replaceAll('http', '')
      return letters(plainly(out)) === letters(plainly(set(source, 24, styles as never)))
    }),
    { numRuns: 300 },
  )
})

t.test('an answer of 10,000 lines of one kind is returned completely', async t => {
  for (const line of ['a line of words\n', '- an item\n', 'a_b and a|b\n', '| a | b |\n', '> quoted\n']) {
    const md = new Markdown(() => 80, styles)
    const began = process.cpuUsage()
    let rows = 0
    for (let i = 0; i < 10_000; i++) rows += md.push(line).split('\n').length - 1
    rows += md.end().split('\n').length - 1
    t.ok(rows >= 10_000, `${rows} rows of ${JSON.stringify(line)}`)
    t.comment(`${line.trim()}: ${Math.round(process.cpuUsage(began).user / 1000)} ms`)
  }
  const md = new Markdown(() => 80, styles)
  let out = ''
  for (let i = 0; i < 20_000; i++) out += md.push(`word${i} `)
  t.equal((out + md.end()).match(/word\d+/g)?.length, 20_000, 'one line of 20,000 words')
})

t.test('plain text is wrapped at spaces, and its control characters are made harmless', async t => {
  const one = new Plain(() => 20)
  t.same(pieces(one, '**a** \x1b[1m\n', 'aaaa bbbb cccc dddd eeee ', 'ffff gggg hhhh iiii jjjj'), [
    '**a** ␛[1m\n',
    'aaaa bbbb cccc dddd\n',
    'eeee ffff gggg hhhh\n',
    'iiii jjjj\n',
  ])
})
