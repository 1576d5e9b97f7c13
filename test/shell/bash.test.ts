import { linkSync, mkdirSync } from 'node:fs'
import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { noTerminal } from '../terminal.js'
import { bash, clusterHome, FakeModel } from './fixture.js'

const skip = { skip: noTerminal }
const model = await new FakeModel().open(t)
const home = skip.skip ? undefined : await clusterHome(t, model)

t.test('bash explains a failed command on one line before the prompt', skip, async t => {
  let answer: () => void = () => undefined
  const answered = new Promise<void>(resolve => (answer = resolve))
  model.says = async ({ user }) => {
    if (user.includes('gti')) await answered
    if (user.includes('gti')) return { cause: 'gti is git, misspelt', command: 'echo git status' }
    if (user.includes('hostile'))
      return { cause: '\u001b]0;x\u0007$(touch hacked) \\e[31m %s', command: 'echo `touch hacked`\n' }
    return { cause: `it ended with ${/exit status: (\d+)/.exec(user)?.[1]}`, command: 'nosuchprogram --now' }
  }
  const asked = () => model.asked.map(({ user }) => /^command: (.*)$/m.exec(user)?.[1])
  const terminal = await bash(t, home!, { before: 'HISTCONTROL=ignoreboth\nPROMPT_COMMAND=\'echo "then $?"\'' })

  await terminal.enter('gti status')
  // keys that come before the prompt are echoed by the terminal, not by bash
  await terminal.screen(/^then 127\n\$$/m)
  await terminal.type('echo typed on')
  await terminal.screen(/^\$ echo typed on$/m)
  answer()
  const screen = await terminal.screen(/^llambo: gti is git, misspelt; try: echo git status \(Alt-E\)$/m)
  await terminal.screen(/^llambo: .*\n\$ echo typed on$/m)
  t.match(screen, /then 127$/m, 'what else is done before the prompt sees the exit status')
  await terminal.press('M-e')
  await terminal.screen(/^\$ echo git status$/m)
  t.same(asked(), ['gti status'], 'and it is not run')
  await terminal.press('Enter')
  await terminal.screen(/^git status$/m)

  await terminal.enter('(exit 9) # first')
  await terminal.enter('(exit 9)')
  const nine = await terminal.screen(/^llambo: it ended with 9$/m)
  t.notMatch(nine, /nosuchprogram/, 'what is no command is not suggested')
  await terminal.enter('echo $?')
  await terminal.screen(/^9$/m)
  await terminal.enter(': one two')
  await terminal.enter('echo $_')
  await terminal.screen(/^two$/m)

  await terminal.enter('(exit 3) # hostile')
  await terminal.screen(/^llambo: .*touch hacked/m)
  t.notMatch(await terminal.shown(), /[^\n\P{Cc}]/u)
  await terminal.press('M-e')

  await terminal.enter(' nosuchprogram seen')
  await terminal.enter('echo x | grep y')
  await terminal.enter('')
  await terminal.enter('ls --passwort /nowhere')
  await terminal.screen(/^llambo: it ended with 2$/m)
  t.same(
    asked().slice(-2),
    ['(exit 3) # hostile', 'ls --passwort /nowhere'],
    'what begins with a blank, says no, or is empty: not sent',
  )
  await terminal.enter('[ -e hacked ] || echo none')
  await terminal.screen(/^none$/m)
})

t.test('bash explains the later of two failures, whichever answer comes first', skip, async t => {
  model.says = async ({ user }) => {
    await sleep(1000)
    return { cause: `it ended with ${/exit status: (\d+)/.exec(user)?.[1]}`, command: '' }
  }
  // what asks of the first one has a slow start
  const before = 'perl() { ! mkdir asking 2>/dev/null || sleep 0.5; command perl "$@"; }'
  const terminal = await bash(t, home!, { before })
  await terminal.enter('(exit 8)')
  await terminal.screen(/exit 8[\s\S]*\n\$$/)
  await terminal.enter('(exit 9)')
  await terminal.screen(/^llambo: it ended with 9$/m)
  t.notMatch(await terminal.shown(), /ended with 8/)
})

t.test('bash restarts a killed agent, and the agent creates its directory', skip, async t => {
  model.says = () => ({ cause: 'it does not work', command: '' })
  // what one that was killed leaves: a name that nobody answers at
  const dir = home!.path('killed/llambo')
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  const server = createServer()
  await new Promise<void>(resolve => server.listen(`${dir}/own.sock`, resolve))
  linkSync(`${dir}/own.sock`, `${dir}/shell.sock`)
  await new Promise(resolve => server.close(resolve))
  for (const name of ['killed', 'elsewhere']) {
    const env = { XDG_RUNTIME_DIR: home!.path(name), LLAMBO: `unix!${home!.path('run/llambo/9p')}` }
    const terminal = await bash(t, home!, { env })
    await terminal.enter('(exit 3)')
    await terminal.screen(/^llambo: it does not work$/m)
  }
})
