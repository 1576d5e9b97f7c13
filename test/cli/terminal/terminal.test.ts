/** Tests the line editor in a real terminal. */
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { noTerminal, Terminal, type TerminalOptions } from '../../terminal.js'

const program = fileURLToPath(new URL('./program.js', import.meta.url))

/** Starts a program that reads entries, in a real terminal of 40 columns. */
async function start(t: Test, o: Partial<TerminalOptions> = {}): Promise<Terminal> {
  const dir = t.testdir()
  const env = { PATH: process.env.PATH, HOME: dir, ...o.env }
  const terminal = await Terminal.start(t, [process.execPath, program, `${dir}/history`], {
    cwd: dir,
    columns: 40,
    rows: 10,
    ...o,
    env,
  })
  await terminal.screen(/^ask>/m)
  return terminal
}

t.test('keys edit, recall, search and complete in a real terminal', { skip: noTerminal }, async t => {
  const terminal = await start(t)
  await terminal.type('one')
  await terminal.press('M-Enter')
  await terminal.type('two')
  await terminal.press('C-j')
  await terminal.type('three')
  await terminal.press('Up', 'Up', 'Home')
  await terminal.enter('→ ')
  await terminal.screen(/"→ one\\ntwo\\nthree"/)
  await terminal.press('Up', 'End')
  await terminal.enter('!')
  t.match(await terminal.screen(/three!"/), /^ask> → one\n {3}… two\n {3}… three!\n"→ one\\ntwo\\nthree!"\n/m)
  await terminal.press('C-r')
  await terminal.type('tw')
  await terminal.screen(/search “tw”: → one/)
  await terminal.press('C-c')
  await terminal.type('ap')
  await terminal.press('Tab')
  await terminal.screen(/^ask> ap\n *apple +apricot/m)
  await terminal.type('p')
  await terminal.press('Tab')
  await terminal.screen(/^ask> apple$/m)
  await terminal.press('C-u')
  await terminal.press('C-d')
  await terminal.screen(/^left$/m)
  t.equal(await terminal.ended(), 0)
})

t.test(
  'wide and combining characters are in the right columns, also at the edge of the screen',
  { skip: noTerminal },
  async t => {
    const terminal = await start(t)
    // 5 columns of prompt and 34 of text: the next wide character does not fit into the row
    await terminal.type(`${'漢'.repeat(17)}字e\u0301x`)
    await terminal.screen(/x/)
    t.same(await terminal.cursor(), { x: 4, y: 1 })
    await terminal.press('Left', 'Left', 'BSpace')
    await terminal.screen(/漢e\u0301\nx/)
    await terminal.press('Enter')
    await terminal.screen(screen => screen.replaceAll('\n', '').includes(`"${'漢'.repeat(17)}e\u0301x"`))
  },
)

t.test('a paste of more lines than the screen has is one entry', { skip: noTerminal }, async t => {
  const terminal = await start(t)
  const lines = Array.from({ length: 30 }, (_, i) => `line ${i}`)
  await terminal.paste(lines.join('\n'))
  t.notMatch(await terminal.screen(/line 29$/m), /line 0$/m)
  await terminal.press('Enter')
  const all = await terminal.screen(/"$/m, { history: true })
  t.match(all, /^ask> line 0\n {3}… line 1\n/m)
  t.equal(all.match(/line 29/g)!.length, 2)
})

t.test('resizing redraws the entry in place', { skip: noTerminal }, async t => {
  const terminal = await start(t)
  await terminal.enter('before')
  await terminal.screen(/"before"/)
  await terminal.type(`${'a'.repeat(30)} ${'b'.repeat(30)}`)
  await terminal.screen(/b{5}$/m)
  await terminal.resize(20, 10)
  const narrow = /^ask> a{15}\na{15} b{4}\nb{20}\nb{6}$/m
  // the lines above may have scrolled away, because folded lines took their place
  t.match(await terminal.screen(narrow, { history: true }), /^ask> before\n"before"\nask> a/m)
  await terminal.resize(70, 10)
  t.match(await terminal.screen(/^ask> a{30} b{30}$/m, { history: true }), /^ask> before\n"before"\nask> a{30} b{30}$/m)
  await terminal.press('Enter')
  await terminal.screen(/"a{30} b{30}"/)
})

t.test('typed text stays whole while lines scroll by above it', { skip: noTerminal }, async t => {
  const terminal = await start(t)
  await terminal.enter('stream 300')
  await terminal.type('typed meanwhile ')
  await terminal.screen(/line \d+\nask> typed meanwhile$/m)
  await terminal.screen(/line 300/)
  await terminal.enter('and after')
  const all = await terminal.screen(/"typed meanwhile and after"/, { history: true })
  t.same(
    all.match(/line \d+/g),
    Array.from({ length: 300 }, (_, i) => `line ${i + 1}`),
  )
  t.equal(all.match(/ask>/g)!.length, 3)
})

t.test('a dumb terminal gets no escape sequences', { skip: noTerminal }, async t => {
  const terminal = await start(t, { env: { TERM: 'dumb' } })
  await terminal.enter('plain')
  t.match(await terminal.screen(/"plain"\nask>/), /^ask> plain\n"plain"\nask>$/m)
})
