/** Tests of the interactive shell, in a real terminal. */

import { readdirSync, readFileSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { bytes, text } from '../../fs/kit/content.js'
import { Home } from '../ctl/fixture.js'
import { noTerminal, Terminal, type TerminalOptions } from '../terminal.js'
import { folder, hung, owner, served, tree } from './fixture.js'

const program = fileURLToPath(new URL('../../dish/dish.js', import.meta.url))

/** A shell in a real terminal, with the tests' tree. */
async function start(t: Test, o: Partial<TerminalOptions> & { home?: Home } = {}) {
  const home = o.home ?? new Home(t)
  const evil = bytes('plain \u001b[31mred\u001b]0;title\u0007 \u202eturned\n', { owner })
  const slow = text(() => new Promise(() => undefined), { owner })
  const address = await served(
    t,
    tree({ evil, slow, hung: hung(), 漢字: bytes('wide\n', { owner }), many: folder(names(40)) }),
  )
  const terminal = await Terminal.start(t, [process.execPath, program, '--at', address], {
    cwd: home.dir,
    columns: 60,
    rows: 16,
    ...o,
    env: { ...home.env, SHELL: '/bin/sh', ...o.env },
  })
  await terminal.screen(/^llambo>$/m)
  return { terminal, home }
}

const names = (n: number) => Object.fromEntries(Array.from({ length: n }, (_, i) => [`file${i}`, bytes('', { owner })]))

/** The prompt is back, after what the screen shows. */
const again = /llambo>$/

t.test('the shell runs entries of one line and of several lines', { skip: noTerminal }, async t => {
  const { terminal } = await start(t)
  await terminal.enter('cat a.txt | sort -r')
  t.match(await terminal.screen(/alpha\nllambo>$/), /gamma\nbeta\nalpha/)
  await terminal.enter("echo 'one")
  await terminal.screen(/… $|…$/)
  await terminal.enter("two' |")
  await terminal.enter('!tr o 0')
  t.match(await terminal.screen(/tw0\nllambo>$/), /0ne\ntw0/)
  await terminal.enter('lss')
  await terminal.screen(/dish: lss: no such command \(did you mean ls\?\)\nllambo>$/)
  await terminal.enter(`echo '"one"'; !echo "two"`)
  await terminal.screen(/^llambo> echo '"one"'; !echo "two"\n"one"\ntwo\nllambo>$/m)
  await terminal.enter('echo "one two"')
  await terminal.screen(/dish: " does not quote words; use '\n"one two"\nllambo>$/)
  await terminal.enter('echo a)')
  t.match(await terminal.screen(/unexpected "\)"/), /\n {2}echo a\)\n {8}\^/)
  await terminal.paste('echo pasted\necho twice')
  await terminal.screen(/pasted\n {6}… echo twice/)
  await terminal.press('Enter')
  await terminal.screen(/^pasted\ntwice\nllambo>$/m)
  await terminal.enter('cd dir')
  await terminal.enter('cd /n/dish')
  t.match(await terminal.screen(/llambo \/n\/dish>$/), /llambo dir> cd/)
  await terminal.enter('cat history | tail -n 2; cd')
  await terminal.screen(/cd \/n\/dish\ncat history \| tail -n 2; cd\nllambo>$/)
  await terminal.enter('sleep 0.5')
  await terminal.enter('echo typed ahead')
  await terminal.type('and more')
  await terminal.screen(/^typed ahead\nllambo> and more$/m)
  await terminal.press('C-u', 'Up', 'Up', 'Up', 'Up', 'Up', 'Up')
  await terminal.screen(/llambo> echo pasted\n {6}… echo twice$/)
  await terminal.press('C-c', 'C-d')
  t.equal(await terminal.ended(), 0)
})

t.test('escape sequences in files do nothing to the terminal', { skip: noTerminal }, async t => {
  const { terminal } = await start(t)
  await terminal.enter('cat evil')
  await terminal.screen(/plain ␛\[31mred␛\]0;title␇ .turned/)
  await terminal.enter('grep -c wide 漢字; ls -d 漢字 | cat')
  await terminal.screen(/^1\n漢字$/m)
})

t.test('Ctrl-C ends whatever the shell is doing', { skip: noTerminal }, async t => {
  const { terminal } = await start(t)
  await terminal.type('half a li')
  await terminal.press('C-c')
  await terminal.screen(/half a li\^C\nllambo>$/)
  await terminal.enter("echo 'open")
  await terminal.press('C-c')
  await terminal.screen(/\^C\nllambo>$/)
  for (const [i, line] of [
    'cat slow',
    'cat events',
    'ls hung',
    'sleep 1000',
    'while(~ 1 1) {}',
    '!sleep 1000',
    'cat events | !cat',
    'x=`{cat events}',
    'watch echo looked',
    'tail -f events',
  ].entries()) {
    await terminal.enter(`echo run ${i}; ${line}`)
    await terminal.screen(line.startsWith('watch') ? /^looked$/m : new RegExp(`^run ${i}$`, 'm'))
    await terminal.press('C-c')
    await terminal.screen(again)
    await terminal.enter('clear=$status; echo said $clear')
    await terminal.screen(/said interrupted\nllambo>$/)
  }
})

t.test('Ctrl-C right after Enter ends an entry that has not begun yet', { skip: noTerminal }, async t => {
  const { terminal } = await start(t)
  for (let i = 0; i < 5; i++) {
    await terminal.type('sleep 1000')
    await terminal.press('Enter', 'C-c')
    await terminal.screen(/sleep 1000\n\^C\nllambo>$/)
    await terminal.enter('clear=$status; echo said $clear')
    await terminal.screen(/said interrupted\nllambo>$/)
    await terminal.press('C-l')
    await terminal.screen(screen => screen === 'llambo>')
  }
})

t.test('Tab completes from the tree, and never waits for a node that hangs', { skip: noTerminal }, async t => {
  const { terminal } = await start(t)
  const clear = async () => {
    await terminal.press('C-u')
    await terminal.screen(again)
  }
  let asked = 0
  const tab = async (what: RegExp) => {
    for (;;) {
      await terminal.press('Tab')
      // on a busy machine the tree may be slow to answer, and dish then asks for another Tab
      const slow = (screen: string) => screen.split('Tab asks again').length - 1
      const screen = await terminal.screen(screen => what.test(screen) || slow(screen) > asked)
      if (what.test(screen)) return screen
      asked = slow(screen)
    }
  }
  await terminal.type('wat')
  await tab(/llambo> watch$/)
  await clear()
  await terminal.type('he')
  t.match(await tab(/head/), /help +list the commands/)
  await clear()
  await terminal.type('cat dir/s')
  await tab(/llambo> cat dir\/sub\/$/)
  await tab(/llambo> cat dir\/sub\/x1$/)
  await clear()
  await terminal.type('cat tw')
  await tab(/llambo> cat 'two words'$/)
  await clear()
  await terminal.type('on w')
  await terminal.press('Tab', 'Tab')
  await terminal.screen(/worker-0001 +worker-0002 +worker-0010/)
  await terminal.type('1')
  await terminal.press('Tab')
  await clear()
  await terminal.type('ls -')
  await terminal.press('Tab', 'Tab')
  await terminal.screen(/--json +print JSON/)
  await clear()
  await terminal.type('ls hung/')
  await terminal.press('Tab')
  await terminal.type('x')
  await terminal.screen(/llambo> ls hung\/x$/)
  await terminal.press('BSpace', 'Tab')
  await terminal.screen(/llambo is slow to answer; Tab asks again\nllambo> ls hung\/$/)
  await clear()
  await terminal.type('echo $stat')
  await tab(/llambo> echo \$status$/)
})

t.test('jobs run while the user types, and are stopped at the end', { skip: noTerminal }, async t => {
  const { terminal, home } = await start(t)
  await terminal.enter('{ sleep 0.3; echo from the job } &')
  await terminal.type('half')
  await terminal.screen(/from the job\ndish: job 1: done: \{ sleep 0\.3; echo from the job \}\nllambo> half$/)
  await terminal.press('C-u')
  await terminal.resize(30, 10)
  await terminal.enter('ls many')
  await terminal.screen(/file39 *\nllambo>$|file\d+\nllambo>$/)
  await terminal.enter('!sleep 1000 &')
  await terminal.screen(again)
  await terminal.press('C-d')
  await terminal.screen(/still running: %2 !sleep\s+1000/)
  const [socket = ''] = readdirSync(home.path('run', 'llambo')).filter(name => name.startsWith('dish-'))
  const outside = await home.ctl(
    '--at',
    `unix!${home.path('run', 'llambo', socket)}`,
    'cat',
    'n/dish/jobs',
    'n/dish/history',
  )
  t.match(
    outside,
    { code: 0, stdout: /state=running command='!sleep 1000'\n(.*\n)*ls many\n/ },
    'other programs can read the shell',
  )
  await terminal.press('C-d')
  t.equal(await terminal.ended(), 0)
  t.same(readdirSync(home.path('run', 'llambo')), [])
  t.match(readFileSync(home.path('.local/state/llambo/dish_history'), 'utf8'), /"ls many"\n/)
})

t.test('dishrc runs first, and the shell starts in spite of its mistakes', { skip: noTerminal }, async t => {
  const home = new Home(t)
  home.file('.config/llambo/dishrc', "fn hello { echo hello $1 }\nprompt='llambo> '\nnonsense\n")
  home.file('.local/state/llambo/dish_history/in-the-way', '')
  const { terminal } = await start(t, { home })
  await terminal.enter('hello you')
  const screen = await terminal.screen(/hello you\nllambo>$/)
  t.match(screen, /dish: nonsense: no such command/)
  t.match(screen, /dish: history is not saved: [\s\S]*not\sa\sfile/)
  t.equal(
    statSync(home.path('.local/state/llambo/dish_history')).mode & 0o100,
    0o100,
    'the directory can still be entered',
  )
})

t.test('a dumb terminal gets no escape sequences', { skip: noTerminal }, async t => {
  const { terminal } = await start(t, { env: { TERM: 'dumb' } })
  await terminal.enter('ls -l dir')
  await terminal.screen(/sub\n(.*\n)*llambo>$/)
  await terminal.press('C-c')
  await terminal.enter('echo on')
  await terminal.screen(/^on\nllambo>$/m)
  await terminal.press('C-d')
  t.equal(await terminal.ended(), 0)
})

t.test(
  'task takes words or standard input; top is the one of llamboctl, and gives the terminal back',
  { skip: noTerminal },
  async t => {
    const home = new Home(t)
    await home.up('--workers', '2')
    const terminal = await Terminal.start(t, [process.execPath, program], {
      cwd: home.dir,
      columns: 100,
      rows: 30,
      env: { ...home.env, SHELL: '/bin/sh' },
    })
    await terminal.screen(again)
    await terminal.enter('task a b; echo c d | task; task')
    await terminal.screen(/^0:a 1:b\n0:c 1:d\ndish: task: missing prompt; usage: task \[PROMPT…\]\nllambo>$/m)
    await terminal.enter('top')
    await terminal.screen(/Active nodes 2\/2[\s\S]*> worker-0001[\s\S]* q quit/)
    await terminal.press('Enter')
    await terminal.screen(/^worker-0001\nserver\n/)
    await terminal.press('Escape')
    await terminal.screen(/Active nodes/)
    await terminal.press('q')
    await terminal.screen(/^llambo> top\nllambo>$/m)
    await terminal.enter('watch -t 1 ls models')
    await terminal.screen(/^llambo-tiny\.gguf\nllambo>$/m)
    await terminal.enter('watch -t 1 nodes')
    await terminal.screen(/^name +host +state .*\nworker-0001 .*\nworker-0002 .*\nllambo>$/m)
    await terminal.enter('on worker-0002 top --once | grep Active; top --json | wc -l')
    await terminal.screen(/^Active nodes 0\/0 .*\n\d+\nllambo>$/m)
    await terminal.enter('top')
    await terminal.screen(/Active nodes 2\/2[\s\S]* q quit/)
    await terminal.press('C-c')
    await terminal.screen(again)
    await terminal.enter('echo on')
    await terminal.screen(/^on\nllambo>$/m)
  },
)
