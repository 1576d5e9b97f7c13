/** Messages as text: syntax errors, and how values are printed. */
import t from 'tap'
import { parse, text } from '../../fs/wire/text.js'

t.test('a syntax error reports its column', t => {
  const cases: [string, string][] = [
    ['', 'column 1: missing word'],
    ['Tfoo tag 1', 'column 1: unknown message Tfoo'],
    ['toString tag 1', 'column 1: unknown message toString'],
    ['Tclunk tag 1 fid 2 name x', 'column 20: Tclunk has no field name'],
    ['Tclunk tag 1 fid 2 constructor x', 'column 20: Tclunk has no field constructor'],
    ['Tclunk tag 1 fid 2 fid 3', 'column 20: duplicate field fid'],
    ['Tclunk tag 1', 'column 13: Tclunk needs fid'],
    ['Tclunk fid 2', 'column 13: Tclunk needs tag'],
    ['Tclunk tag 1 fid', 'column 17: missing word'],
    ['Tclunk tag 65536 fid 1', 'column 12: 65536: at most 65535'],
    ['Tclunk tag x fid 1', 'column 12: not a number: x'],
    ['Tclunk tag -1 fid 1', 'column 12: not a number: -1'],
    ["Tclunk tag '1' fid 1", 'column 12: expected a word'],
    ['Tclunk tag 1 fid 1 )', 'column 20: unexpected )'],
    ['Twalk tag 1 fid 1 newfid 2 wname a', 'column 34: missing ['],
    ['Twalk tag 1 fid 1 newfid 2 wname [a', 'column 36: missing string'],
    ['Twalk tag 1 fid 1 newfid 2 wname [(a)]', 'column 35: expected a string'],
    ["Twalk tag 1 fid 1 newfid 2 wname ['a]", 'column 35: a quote is not closed'],
    ['Rerror tag 1 ename "a\\x"', 'column 20: not a JSON string'],
    ['Rread tag 1 data x', 'column 18: expected a quoted string, or 0x and pairs of hex digits'],
    ['Rread tag 1 data 0x123', 'column 18: expected a quoted string, or 0x and pairs of hex digits'],
    ['Rattach tag 1 qid (1 2)', 'column 23: expected a word'],
    ['Rattach tag 1 qid (1 2 256)', 'column 24: 256: at most 255'],
    ['Rstat tag 1 stat (type 0)', 'column 25: stat needs dev'],
  ]
  for (const [line, message] of cases) t.throws(() => parse(line), { name: 'SyntaxError', message }, line)
  t.end()
})

t.test('a message has fields in any order, numbers in any base, and may omit defaults', t => {
  const m = parse("Tattach  aname '' uname glenda afid ~0 fid 0x10 tag 0o17")
  t.same(m, { type: 'Tattach', tag: 15, fid: 16, afid: 0xffffffff, uname: 'glenda', aname: '', n_uname: 0xffffffff })
  t.equal(text(m), "Tattach tag 15 fid 16 afid ~0 uname glenda aname ''")
  t.equal(text({ type: 'Rerror', tag: 1, ename: 'x' }), 'Rerror tag 1 ename x', 'text omits a default')
  t.end()
})

t.test('a string is quoted only if necessary', t => {
  const ename = (s: string) => text({ type: 'Rerror', tag: 1, ename: s }).slice('Rerror tag 1 ename '.length)
  t.equal(ename('plain'), 'plain')
  t.equal(ename("it's here"), "'it''s here'")
  t.equal(ename(''), "''")
  t.equal(ename('a\nb'), '"a\\nb"')
  t.equal(ename('"'), "'\"'")
  t.end()
})

t.test('data is printed as text if it is text, otherwise in hex', t => {
  const data = (...bytes: number[]) =>
    text({ type: 'Rread', tag: 1, data: Uint8Array.from(bytes) }).slice('Rread tag 1 data '.length)
  t.equal(data(), "''")
  t.equal(data(0x30, 0x78), "'0x'", 'text that looks like hex is quoted')
  t.equal(data(0x61, 0x0a), '"a\\n"')
  t.equal(data(0xc3, 0xbc), "'ü'")
  t.equal(data(0xc3), '0xc3', 'half a character is not text')
  t.equal(data(0x61, 0), '0x6100')
  t.end()
})
