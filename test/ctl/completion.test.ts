/** Tests the completion scripts in their shells. */
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync } from 'node:fs'
import t from 'tap'
import { noTerminal, Terminal } from '../terminal.js'
import { Home } from './fixture.js'

/** A $PATH on which llamboctl is a program that prints these lines whatever its arguments are. */
function saying(home: Home, ...lines: string[]): string {
  home.file('said', `${lines.join('\n')}\n`)
  chmodSync(home.file('bin/llamboctl', `#!/bin/sh\ncat '${home.path('said')}'\n`), 0o755)
  return `${home.path('bin')}:${process.env.PATH}`
}

t.test('names from a server are offered, and never executed', async t => {
  const home = new Home(t)
  const { stdout } = await home.ctl('completion', 'bash')
  const names = ['worker-0001', '$(touch hacked)', '`touch hacked`', 'a b', '*']
  const PATH = saying(home, ...names)
  const complete = (...words: string[]) => {
    const script = `${stdout}
COMP_WORDS=(llamboctl ${words.map(word => `'${word}'`).join(' ')}); COMP_CWORD=${words.length}; _llambo; printf '%s\\n' "\${COMPREPLY[@]}"`
    const env = { ...home.env, PATH }
    return spawnSync('bash', ['--norc'], { input: script, encoding: 'utf8', cwd: home.dir, env }).stdout.split('\n')
  }
  t.same(complete('drain', 'w'), ['worker-0001', ''])
  t.same(
    complete('--at', 'x', 'load', 'm', 'w'),
    ['worker-0001', ''],
    'the values of options do not count as arguments',
  )
  t.same(complete('drain', ''), [...names, ''], 'options are offered only where one is begun')
  t.same(complete('drain', '--he'), ['--help', ''])
  t.same(complete('--at', 'x', 'up', '--model', ''), [...names, ''], 'the value of --model is completed')
  t.same(complete('ls', '/n/llambo/w'), ['/n/llambo/worker-0001', ''])
  t.same(complete('sa'), ['', ''], 'files are not offered as commands')
  t.same(complete('down', 'sa'), ['', ''], 'files are not offered to a command without arguments')
  t.same(complete('cp', 'sa'), ['said', ''])
  t.ok(complete('serve', '--m').includes('--model'), 'an alias has the options of its command')
  t.ok(complete('ls', '/n/llambo/').includes('/n/llambo/$(touch hacked)'))
  t.notOk(existsSync(home.path('hacked')))
  if (spawnSync('fish', ['--version']).error) return t.comment('fish is missing: not tried')
  const script = home.file('llambo.fish', (await home.ctl('completion', 'fish')).stdout)
  const fish = (line: string) => {
    const env = { ...home.env, PATH }
    const command = `source '${script}'; complete -C '${line}'`
    return spawnSync('fish', ['--no-config', '-c', command], { encoding: 'utf8', cwd: home.dir, env }).stdout
  }
  t.match(fish('llamboctl drain w'), /^worker-0001$/m)
  t.match(fish('llamboctl dra'), /^drain\tstop giving a worker new prompts$/m)
  t.match(fish('llamboctl up --model w'), /^worker-0001\t/m)
  t.match(fish('llamboctl up --eng'), /^--engine\t/m)
  t.notOk(existsSync(home.path('hacked')))
})

const noZsh = noTerminal || (spawnSync('zsh', ['--version']).error ? 'zsh is missing' : false)

t.test(
  'zsh shows the help of commands, with colons, and no files where a command takes none',
  { skip: noZsh },
  async t => {
    const home = new Home(t)
    home.file('somefile', '')
    home.file('_llamboctl', (await home.ctl('completion', 'zsh')).stdout)
    const env = { ...home.env, PATH: saying(home, 'worker-0001'), LC_ALL: 'C.UTF-8' }
    const terminal = await Terminal.start(t, ['zsh', '-f', '-i'], { cwd: home.dir, env, columns: 140, rows: 60 })
    await terminal.enter(
      "PS1='zsh> '; autoload -Uz compinit; compinit -u -d dump; source ./_llamboctl; LISTMAX=500; clear; echo ready",
    )
    await terminal.screen(/^ready$/m)
    const listed = async (line: string, wanted: RegExp) => {
      await terminal.press('C-c', 'C-l')
      await terminal.type(line)
      await terminal.press('Tab')
      await terminal.screen(wanted)
      return terminal.shown()
    }
    const commands = await listed('llamboctl ', /drain +-- stop giving a worker new prompts/)
    t.match(commands, /^run +-- chat with a model: limbot --model MODEL$/m, 'the help keeps its colon')
    t.match(commands, /^completion +-- print a completion script for bash, zsh or fish$/m)
    t.notMatch(commands, /somefile/, 'files are not offered as commands')
    t.match(
      await listed('llamboctl shell ', /agent +-- run the process that shells ask/),
      /zsh: eval "\$\(llamboctl shell zsh\)"$/m,
    )
    await listed('llamboctl cp some', /llamboctl cp somefile/)
    await listed('llamboctl up --config some', /--config somefile/)
    await listed('llamboctl down some', /llamboctl down some$/m)
    await listed('llamboctl drain w', /llamboctl drain worker-0001/)
  },
)

t.test('completion --values prints the names of each kind', async t => {
  const home = new Home(t)
  await home.up()
  const names = async (kind: string) => (await home.ctl('completion', '--values', kind)).stdout
  t.equal(await names('worker'), 'worker-0001\n')
  t.equal(await names('class'), 'default\n')
  t.equal(await names('model'), 'echo\nllambo-tiny\n')
  t.equal(await names('strategy'), 'specialise\nleast-loaded\nround-robin\nrandom\n')
})
