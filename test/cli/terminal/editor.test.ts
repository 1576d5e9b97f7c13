/** Tests the line editor on a fake terminal. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { EditorOptions } from '../../../cli/terminal/editor.js'
import { History } from '../../../cli/terminal/history.js'
import { FakeTerminal, key } from './fake.js'

/** Sends keys to an editor. @returns the entry that it reads */
async function typed(keys: string, options: Partial<EditorOptions> = {}): Promise<string | undefined> {
  const terminal = new FakeTerminal()
  const editor = terminal.editor(options)
  const entry = editor.read()
  terminal.send(keys)
  const got = await entry
  editor.close()
  return got
}

const { ctrl, alt, enter } = key
const keys: readonly (readonly [what: string, keys: string, entry: string])[] = [
  ['letters', 'hello', 'hello'],
  ['the beginning and the end', `bc${ctrl('a')}a${ctrl('e')}d`, 'abcd'],
  ['Home and End', `bc${key.home}a${key.end}d`, 'abcd'],
  ['letters back and forth', `ad${ctrl('b')}b${ctrl('f')}${key.left}c`, 'abcd'],
  ['a letter with a combining mark is one character', `e\u0301x${key.left}${key.backspace}y`, 'yx'],
  ['an emoji of several parts is one character', `a👩‍👩‍👧${key.backspace}b`, 'ab'],
  ['words', `one two${alt('b')}X${alt('b')}${alt('b')}Y${alt('f')}Z`, 'YoneZ Xtwo'],
  ['Ctrl-Left and Ctrl-Right', 'one two\x1b[1;5DX\x1b[1;5C!', 'one Xtwo!'],
  ['kill a line and yank it', `one${ctrl('u')}two ${ctrl('y')}`, 'two one'],
  ['kill to the end', `one two${ctrl('a')}${alt('f')}${ctrl('k')}`, 'one'],
  ['words killed in a row are yanked together', `a b c${ctrl('w')}${ctrl('w')}${ctrl('y')}`, 'a b c'],
  ['Alt-D', `one two${ctrl('a')}${alt('d')}`, ' two'],
  ['Ctrl-D in a line', `abc${ctrl('a')}${ctrl('d')}`, 'bc'],
  ['undo', `one two\x1f`, 'one '],
  ['undo a kill', `one${ctrl('u')}\x1f`, 'one'],
  ['transpose', `ab${ctrl('t')}`, 'ba'],
  ['Alt-Enter', `one${key.altEnter}two`, 'one\ntwo'],
  ['Ctrl-J', 'one\ntwo', 'one\ntwo'],
  ['a backslash at the end of a line', `one\\${enter}two`, 'one\ntwo'],
  ['Up and Down in lines', `one\ntwo${key.up}X${key.down}Y`, 'oneX\ntwoY'],
  ['a paste is not an Enter', key.paste('one\r\ntwo\rthree'), 'one\ntwo\nthree'],
  ['a paste is harmless', key.paste('\x1b[31mred\x07'), '␛[31mred␇'],
  ['unknown keys are ignored', 'a\x1b[25~b', 'ab'],
]
for (const [what, sent, entry] of keys)
  t.test(`keys: ${what}`, async t => {
    t.equal(await typed(sent + enter), entry)
  })

t.test('an entry continues on the next line while `more` returns true', async t => {
  const more = (text: string) => text.startsWith('"""') && !text.endsWith('\n"""')
  t.equal(await typed(`"""${enter}one${enter}"""${enter}`, { more }), '"""\none\n"""')
})

t.test('Ctrl-D on an empty line ends the read', async t => {
  t.equal(await typed(ctrl('d')), undefined)
})

t.test('Ctrl-C clears the line, and twice on an empty line it ends the read', async t => {
  t.equal(await typed(`one${ctrl('c')}two${enter}`), 'two')
  t.equal(await typed(`one${ctrl('c')}${ctrl('c')}${ctrl('c')}`), undefined)
})

t.test('Ctrl-C that interrupts something else keeps the entry', async t => {
  let interrupts = 0
  const interrupt = () => ++interrupts < 3
  t.equal(await typed(`one${ctrl('c')}${ctrl('c')}${enter}`, { interrupt }), 'one')
})

t.test('the end of the input ends the read', async t => {
  const terminal = new FakeTerminal()
  const entry = terminal.editor().read()
  terminal.send('half')
  terminal.input.end()
  t.equal(await entry, undefined)
})

t.test('an abort signal ends the read', async t => {
  const leave = new AbortController()
  const entry = new FakeTerminal().editor().read(leave.signal)
  leave.abort()
  t.equal(await entry, undefined)
})

t.test('the arrow keys and Ctrl-R recall entries of the history', async t => {
  const of = (...entries: string[]) => {
    const file = join(t.testdir(), 'history')
    writeFileSync(file, entries.map(entry => `${JSON.stringify(entry)}\n`).join(''))
    return { history: new History(file) }
  }
  const { up, down } = key
  t.equal(await typed(up + enter, of('one', 'two')), 'two')
  t.equal(await typed(up + up + up + enter, of('one', 'two')), 'one')
  t.equal(await typed(`draft${up}${down}${enter}`, of('one')), 'draft')
  t.equal(await typed(`o${up}${enter}`, of('one', 'two')), 'one', 'only entries with the typed prefix are recalled')
  t.equal(await typed(`o${up}${up}${enter}`, of('old', 'one', 'two')), 'old')
  t.equal(await typed(`${up}X${enter}`, of('one')), 'oneX', 'a recalled entry can be edited')
  t.equal(
    await typed(`${up}${up}${up}X${enter}`, of('zero', 'one\ntwo')),
    'zeroX',
    'the arrows move through the lines of a recalled entry',
  )
  t.equal(await typed(`${ctrl('r')}wo${enter}`, of('one two', 'three')), 'one two', 'Ctrl-R searches')
  t.equal(
    await typed(`${ctrl('r')}t${ctrl('r')}${ctrl('e')}!${enter}`, of('two', 'three')),
    'two!',
    'Ctrl-R again finds an older entry',
  )
  t.equal(await typed(`a${ctrl('r')}t${ctrl('g')}b${enter}`, of('two')), 'ab', 'Ctrl-G leaves the search')
  t.equal(await typed(`${ctrl('r')}none${enter}`, of('two')), '', 'a search without a match keeps the entry')
})

t.test('Tab lists completions and inserts the common prefix', async t => {
  const complete = async (text: string, cursor: number) => ({
    from: text.lastIndexOf(' ') + 1,
    items: ['alpha ', 'alpine ']
      .filter(w => w.startsWith(text.slice(text.lastIndexOf(' ') + 1, cursor)))
      .map(text => ({ text })),
  })
  const terminal = new FakeTerminal()
  const editor = terminal.editor({ complete })
  const entry = editor.read()
  terminal.send('x a\t')
  await new Promise(setImmediate)
  t.match(terminal.written, /alpha +alpine/)
  terminal.send('h\t')
  await new Promise(setImmediate)
  terminal.send(enter)
  t.equal(await entry, 'x alpha ')
})

t.test('a completion that arrives after the next key is dropped', async t => {
  let answer!: () => void
  const asked: AbortSignal[] = []
  const complete = async (_text: string, _cursor: number, signal: AbortSignal) => {
    asked.push(signal)
    await new Promise<void>(resolve => {
      answer = resolve
    })
    return { from: 0, items: [{ text: 'completed' }] }
  }
  const terminal = new FakeTerminal()
  const entry = terminal.editor({ complete }).read()
  terminal.send('c\tx')
  await new Promise(setImmediate)
  t.equal(asked[0]!.aborted, true)
  answer()
  await new Promise(setImmediate)
  terminal.send(enter)
  t.equal(await entry, 'cx')
})

t.test('keys typed between two reads are kept, and Ctrl-C there interrupts', async t => {
  let interrupts = 0
  const terminal = new FakeTerminal()
  const editor = terminal.editor({ hold: true, interrupt: () => ++interrupts > 0 })
  const first = editor.read()
  terminal.send(`one${enter}${ctrl('c')}two${enter}`)
  t.equal(await first, 'one')
  t.equal(interrupts, 1)
  t.equal(await editor.read(), 'two')
  editor.close()
})

t.test('the terminal is in raw mode while an entry is read, and restored afterwards', async t => {
  const terminal = new FakeTerminal()
  const editor = terminal.editor()
  const entry = editor.read()
  t.equal(terminal.input.raw, true)
  t.match(terminal.written, '\x1b[?2004h')
  terminal.send(enter)
  await entry
  t.equal(terminal.input.raw, false)
  t.match(terminal.written, '\x1b[?2004l')
  editor.close()
  t.equal(terminal.input.listenerCount('keypress'), 0)
})

for (const [what, env] of [
  ['a dumb terminal', { TERM: 'dumb' }],
  ['a pipe', undefined],
] as const)
  t.test(`${what} gives plain lines and gets no escape sequences`, async t => {
    const terminal = new FakeTerminal()
    if (!env) terminal.input.isTTY = false
    const editor = terminal.editor({ ...(env && { env }), more: text => /^"""[^"]*$/.test(text) })
    terminal.input.end('one\ntwo \\\nthree\n"""\nfour\n"""\nfive')
    t.equal(await editor.read(), 'one')
    t.equal(await editor.read(), 'two \nthree')
    t.equal(await editor.read(), '"""\nfour\n"""')
    t.equal(await editor.read(), 'five')
    t.equal(await editor.read(), undefined)
    await editor.above('shown')
    t.equal(terminal.written, env ? '> > … > … … > > shown\n' : 'shown\n')
  })

t.test('the failure of an external editor is shown, and the entry stays', async t => {
  const terminal = new FakeTerminal()
  const editor = terminal.editor({ env: { TERM: 'xterm', EDITOR: 'false', PATH: process.env.PATH } })
  const entry = editor.read()
  terminal.send(`kept${ctrl('g')}`)
  while (!terminal.written.includes('the entry is unchanged')) await new Promise(setImmediate)
  terminal.send(enter)
  t.equal(await entry, 'kept')
})

t.test('Ctrl-X Ctrl-E edits the entry in an external editor', async t => {
  const script = join(t.testdir(), 'edit')
  writeFileSync(script, '#!/bin/sh\ntr a-z A-Z < "$1" > "$1.new" && mv "$1.new" "$1"\necho done >&2\n', { mode: 0o755 })
  const terminal = new FakeTerminal()
  const editor = terminal.editor({ env: { TERM: 'xterm', VISUAL: script, PATH: process.env.PATH } })
  const entry = editor.read()
  terminal.send(`first${key.altEnter}second${ctrl('x')}${ctrl('e')}`)
  while (!terminal.written.includes('SECOND')) await new Promise(setImmediate)
  terminal.send(enter)
  t.equal(await entry, 'FIRST\nSECOND')
})
