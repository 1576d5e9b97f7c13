import { spawnSync } from 'node:child_process'
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import t from 'tap'
import { Home } from '../ctl/fixture.js'
import { noTerminal, type Terminal } from '../terminal.js'
import { clusterHome, FakeModel, missing, type Says, zsh } from './fixture.js'

const PLUGIN = '/usr/share/zsh-autosuggestions/zsh-autosuggestions.zsh'
const skip = { skip: noTerminal || missing('zsh', '--version') }
const noPlugin = existsSync(PLUGIN) ? false : 'zsh-autosuggestions is missing: apt-get install zsh-autosuggestions'

/** One cluster for all: its model says what a test has it say. */
const model = await new FakeModel().open(t)
const home = skip.skip ? undefined : await clusterHome(t, model)

/** The cluster, with a model that has been asked nothing. */
function begin(says?: Says): Home {
  model.asked.length = 0
  model.says = says ?? (() => ({ cause: 'it does not work', command: '' }))
  return home!
}

/** What people who use frameworks have set: no job control, prompts with substitution, hooks of both kinds, and ones that look at `$?`. */
const HABITS = `
setopt no_unset no_clobber
setopt no_monitor prompt_subst auto_cd extended_history share_history hist_ignore_space interactive_comments
autoload -Uz add-zsh-hook
mine() { seen=$? }
add-zsh-hook precmd mine
typeset -ga precmd_functions preexec_functions
precmd_functions=(mine $precmd_functions)
other() { : "$1" }
preexec_functions+=(other)
PROMPT='%% '
`

/** Aliases of words that the script uses. */
const ALIASES = `
alias exec='echo alias' local='echo alias' print='echo alias' zle=false return='echo alias'
alias -g INT=x
`

t.test('zsh explains a failed command, and Alt-E inserts the correction', skip, async t => {
  const says: Says = ({ user }) => {
    if (user.includes('gti')) return held({ cause: 'gti is git, misspelt', command: 'echo git status' })
    if (user.includes('at last')) return held({ cause: 'at last', command: '' })
    if (user.includes('hostile'))
      return { cause: '\u001b]0;x\u0007%F{red}$(touch hacked)\u202e', command: 'echo `touch hacked`\nx' }
    if (user.includes('long')) return { cause: 'very '.repeat(30), command: 'echo short' }
    return { cause: `it ended with ${/exit status: (\d+)/.exec(user)?.[1]}`, command: 'nosuchprogram --now' }
  }
  const home = begin(says)
  // an answer that comes only once answer() is called
  let answer: () => void = () => undefined
  const held = (said: object) => new Promise<object>(resolve => (answer = () => resolve(said)))
  const asked = () => model.asked.map(({ user }) => /^command: (.*)$/m.exec(user)?.[1])
  const terminal = await zsh(t, home, { before: HABITS + ALIASES })
  /** Types a line that fails; resolves when the next prompt is there and the model is asked. Keys that come before the prompt are echoed by the terminal, not by zsh. */
  const fails = async (line: string, shows: RegExp) => {
    const before = model.asked.length
    await terminal.enter(line)
    await terminal.screen(screen => shows.test(screen) && model.asked.length > before)
  }
  const run = (line: string, shows: RegExp) => terminal.enter(line).then(() => terminal.screen(shows))

  await fails('gti status', /command not found: gti\n%$/)
  await terminal.type('echo typed on')
  await terminal.screen(/^% echo typed on$/m)
  answer()
  await terminal.screen(
    /command not found: gti\nllambo: gti is git, misspelt; try: echo git status \(Alt-E\)\n% echo typed on$/m,
  )
  await terminal.type(' and on')
  await terminal.screen(/^% echo typed on and on$/m)
  await terminal.press('M-e')
  await terminal.screen(/^% echo git status$/m)
  t.same(asked(), ['gti status'], 'it is not run, and nothing else was asked')
  await terminal.press('Enter')
  await terminal.screen(/^git status$/m)
  await terminal.press('M-e')
  await terminal.screen(/^llambo: nothing to suggest$/m)

  const nine = await run('(exit 9)', /^llambo: it ended with 9$/m)
  t.notMatch(nine, /nosuchprogram/, 'what is no command is not suggested')
  await run('echo "rc $? hook $seen"', /^rc 9 hook 9$/m)
  await run(': one two', /^% $|^%$/m)
  await run('echo $_', /^two$/m)
  await terminal.enter('(exit 8) # six seven')
  await terminal.screen(/^llambo: it ended with 8$/m)
  await run('echo "last $?"', /^last 8$/m)

  await run('(exit 3) # hostile', /^llambo: .*%F\{red\}\$\(touch hacked\)$/m)
  t.notMatch(await terminal.shown(), /[^\n\P{Cc}]|\u202e/u)
  await run('(exit 3) # long', /^llambo: very .*; try: echo short \(Alt-E\)$/m)

  // answers that come while a search goes on, and below several lines that are edited
  await fails('echo printed; (exit 4) # at last', /^printed\n%$/m)
  await terminal.press('C-r')
  await terminal.type('git stat')
  await terminal.screen(/bck-i-search: git stat/)
  answer()
  await terminal.screen(/^printed\nllambo: at last\n% echo git status\nbck-i-search: git stat_?$/m)
  await terminal.press('C-g')
  await fails('echo printed; (exit 4) # at last', /at last\nprinted\n%$/)
  await terminal.type('for i in 1')
  await terminal.press('M-Enter')
  await terminal.type('y'.repeat(150))
  await terminal.screen(/\ny{100}\ny{50}$/)
  answer()
  await terminal.screen(/^printed\nllambo: at last\n% for i in 1\ny{100}\ny{50}$/m)
  await terminal.press('C-c')
  // zsh drops what comes while it sees to a Ctrl-C
  await terminal.screen(/\n%$/)

  const before = model.asked.length
  await terminal.enter(' (exit 5)')
  await terminal.enter('echo x | grep y')
  await terminal.enter('')
  await terminal.enter(`(exit 5) # ${'x'.repeat(1000)}`)
  await run('echo sleeps; sleep 100', /^sleeps$/m)
  await terminal.press('C-c')
  await terminal.screen(/^sleeps\n\^C\n%$/m)
  await terminal.enter('LLAMBO_SHELL=off')
  await terminal.enter('(exit 6)')
  await terminal.enter('LLAMBO_SHELL=hint')
  await run('(exit 7)', /^llambo: it ended with 7$/m)
  t.same(
    asked().slice(before),
    ['(exit 7)'],
    'hidden, an answer, empty, too long, interrupted and switched off: not sent',
  )
  await run('[ -e hacked ] || echo none', /^none$/m)
  await run('ls /nowhere; [[ -t 2 ]] && echo a terminal', /^ls: .*nowhere.*\na terminal$/m)
})

const root = process.getuid?.() === 0
const other = { skip: skip.skip || (root ? false : 'a directory cannot be given to another user here: run it as root') }

t.test('zsh sends nothing to a socket in a directory of another user', other, async t => {
  const home = new Home(t)
  const dir = home.path('run/llambo')
  mkdirSync(dir)
  let connections = 0
  const server = createServer(() => void connections++)
  await new Promise<void>(resolve => server.listen(`${dir}/shell.sock`, resolve))
  t.teardown(() => server.close())
  const terminal = await zsh(t, home, { after: '_llambo_start=(true)' })
  await terminal.enter('(exit 3)')
  await terminal.screen(() => connections === 1)
  chownSync(dir, 65534, 65534)
  await terminal.enter('(exit 4)')
  await terminal.enter('echo "rc $?"')
  await terminal.screen(/^rc 4$/m)
  t.equal(connections, 1)
})

t.test(
  'zsh sends the output of the failed command, and copies standard error only if that is turned on',
  skip,
  async t => {
    const home = begin()
    const seen = (n: number) => model.asked[n]!.user
    // a tmux of its own in the terminal, as people have it
    const start = `tmux -S '${home.path('own')}' -f /dev/null new-session zsh -d -i`
    t.teardown(() => spawnSync('tmux', ['-S', home.path('own'), 'kill-server']))
    const terminal: Terminal = await zsh(t, home, { env: { TERM: 'screen' }, program: ['sh', '-c', start] })
    await terminal.enter('echo not yours; clear')
    await terminal.enter('cat /nowhere/a; echo "DB_PASSWORD=hunter2"; (exit 3)')
    await terminal.screen(/llambo: it does not work/)
    t.match(seen(0), /\noutput:\ncat: \/nowhere\/a: No such file or directory\nDB_PASSWORD=\[redacted\]$/)

    await terminal.enter('unset TMUX TMUX_PANE')
    await terminal.enter('cat /nowhere/b')
    await terminal.screen(/llambo: it does not work[\s\S]*llambo: it does not work/)
    t.notMatch(seen(1), /output:/, 'without a terminal that knows the output, none is sent')

    await terminal.enter('LLAMBO_SHELL_STDERR=1')
    await terminal.enter('clear; cat /nowhere/c; echo out; [[ -t 1 ]] && (exit 3)')
    // what is written to a copy comes when it comes, and in between
    await terminal.screen(
      screen => /nowhere\/c[\s\S]*llambo: it does not work/.test(screen) && !screen.includes('LLAMBO_SHELL'),
    )
    t.match(seen(2), /\noutput:\ncat: \/nowhere\/c: No such file or directory$/)
  },
)

t.test('zsh-autosuggestions asks llambo after the history', { skip: skip.skip || noPlugin }, async t => {
  const typed = ({ user }: { user: string }) => /^typed: (.*)$/m.exec(user)?.[1] ?? ''
  const home = begin(asked => ({ command: typed(asked).startsWith('echo') ? `${typed(asked)} completed` : 'nosuch' }))
  const before = `${HABITS}\nsource ${PLUGIN}\nZSH_AUTOSUGGEST_STRATEGY=history LLAMBO_SHELL=auto`
  const terminal = await zsh(t, home, { before })
  await terminal.screen(() => existsSync(home.path('run/llambo/shell.sock')))
  /** Types; what has not come within its second is asked for again, by a key and another, as a person would. */
  const suggests = async (text: string, shows: RegExp) => {
    await terminal.type(text)
    for (let tries = 1; ; tries++) {
      const end = performance.now() + 2000
      while (performance.now() < end) if (shows.test(await terminal.shown())) return
      if (tries === 10) throw new Error(`never suggested: ${shows}`)
      await terminal.press('BSpace')
      await terminal.type(text.at(-1)!)
    }
  }
  await suggests('echo abc', /^% echo abc completed$/m)
  await terminal.press('Right', 'Enter')
  await terminal.screen(/^abc completed$/m)
  await terminal.type('echo ab')
  await terminal.screen(/^% echo abc completed$/m)
  t.equal(model.asked.map(typed).filter(text => text === 'echo ab').length, 0, 'history goes first')
  await terminal.press('C-u')
  await terminal.type('export MY_TOKEN=abc')
  await terminal.press('C-u')
  await terminal.type('nos')
  await terminal.press('C-u')
  await suggests('echo last', /^% echo last completed$/m)
  t.notOk(
    model.asked.some(asked => typed(asked).includes('TOKEN=a')),
    'a line with what looks like a secret is not sent',
  )
  await terminal.press('C-u')
  // a model that never answers: typing goes on, and nothing is left running
  model.says = () => undefined
  await terminal.type('echo slowly')
  await terminal.press('Enter')
  await terminal.screen(/^slowly$/m)
  const pid = await terminal.pid()
  await terminal.screen(() => readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8') === '')
})

t.test('zsh completes commands, options and the names of workers and models', skip, async t => {
  const home = new Home(t)
  const script = home.file('llambo.zsh', (await home.ctl('completion', 'zsh')).stdout)
  const names = 'worker-0001\n$(touch hacked)\n`touch hacked`\n'
  chmodSync(home.file('bin/llamboctl', `#!/bin/sh\ncat '${home.file('names', names)}'\n`), 0o755)
  const after = `autoload -Uz compinit; compinit -u -d '${home.path('dump')}'\nsource '${script}'`
  const env = { PATH: `${home.path('bin')}:${process.env.PATH}` }
  const terminal = await zsh(t, home, { after, env, sentinel: false })
  const tab = async (line: string, shows: RegExp) => {
    await terminal.type(line)
    await terminal.press('Tab')
    await terminal.screen(shows)
    await terminal.press('C-u')
  }
  await tab('llamboctl dra', /^% llamboctl drain$/m)
  await tab('llamboctl drain w', /^% llamboctl drain worker-0001$/m)
  await tab('llamboctl up --engine ec', /^% llamboctl up --engine echo$/m)
  await tab('llamboctl up --model w', /^% llamboctl up --model worker-0001$/m)
  await tab('llamboctl top --o', /^% llamboctl top --once$/m)
  await tab('llamboctl drain \\$', /^% llamboctl drain \\\$\\\(touch\\ hacked\\\)$/m)
  await terminal.enter('[ -e hacked ] || echo none')
  await terminal.screen(/^none$/m)
})

t.test('zsh does not delay the prompt if the cluster is unreachable or slow', skip, async t => {
  let asked: () => void = () => undefined
  const home = begin(() => void asked())
  const terminal = await zsh(t, home)
  const slow = new Promise<void>(resolve => {
    asked = resolve
  })
  await terminal.enter('(exit 3)')
  await slow
  await terminal.enter('echo "goes on $?"')
  await terminal.screen(/^goes on 3$/m)
  await model.asked[0]!.closed
  t.pass('an abandoned question is cancelled in the cluster')

  await home.ctl('down')
  await terminal.enter('(exit 4)')
  await terminal.enter('echo "rc $?"')
  const screen = await terminal.screen(/^rc 4$/m)
  t.notMatch(screen, /llambo:/, 'nothing is printed')
})
