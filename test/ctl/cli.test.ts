/** Tests the command line of llamboctl: usage errors, help, completion scripts and the reference. */
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import type { Command as Commander } from 'commander'
import t from 'tap'
import { program } from '../../cli/program.js'
import { type Key, settings } from '../../cli/settings.js'
import { programs, llamboctl as table } from '../../ctl/command/table.js'
import { flagsOf } from '../../ctl/server/foreground.js'
import { checkout, Home, llamboctl } from './fixture.js'

const ESC = '\u001b['
const RED = `${ESC}31m`

/** Every command of commander's tree, with its path. */
function* all(command: Commander, path = ''): Generator<[string, Commander]> {
  yield [path, command]
  for (const child of command.commands) yield* all(child, `${path} ${child.name()}`.trim())
}

t.test('an invalid command line exits 2 with a remedy or a suggestion', async t => {
  const home = new Home(t)
  const rows: readonly (readonly [string[], RegExp])[] = [
    [['stauts'], /^llamboctl: unknown command 'stauts'\n\(Did you mean status\?\)/],
    [['ls', '--lnog'], /unknown option '--lnog'\n\(Did you mean --long\?\)/],
    [['cat'], /missing required argument 'path'/],
    [['completion', 'tcsh'], /^llamboctl: no shell "tcsh"; shells: bash zsh fish\n$/],
    [['up', '--engine', 'gpt'], /Allowed choices are llama, openai, echo/],
    [['up', '--slots', 'many'], /^llamboctl: --slots: expected a whole number from 1 to 256, not "many"\n$/],
    [
      ['up', '--model', 'my', 'model.gguf'],
      /^llamboctl: up: expected no arguments, got 1; quote values with spaces: 'my model\.gguf'\n/,
    ],
    [['load', 'my', 'model.gguf'], /quote values with spaces: llamboctl load 'my model\.gguf'\n$/],
    [['stop'], /^llamboctl: unknown command 'stop'; to stop the server: llamboctl down/],
    [['ps'], /^llamboctl: unknown command 'ps'; to see the loaded models: llamboctl models/],
    [['spawn', 'default', '--count', '2'], /spawn: expected CLASS and N, or --type and --count, not both/],
    [['scale', '2000'], /expected a number of workers, at most 1000/],
    [['cp', 'a', 'b'], /cp: all paths are on this machine; paths on the server begin with \/n\/llambo\//],
    [['cp', '/n/llambo/status'], /cp: missing argument; usage: llamboctl cp PATH… DEST/],
    [
      ['load'],
      /missing required argument 'model'\nusage: llamboctl load \[options\] <model> \[worker\] \(see --help\)\n$/,
    ],
    [['pull', 'llama'], /^llamboctl: pull llama: expected hf:USER\/MODEL:QUANT/],
    [['ls', '--at', 'nonsense'], /nonsense/],
  ]
  for (const [args, says] of rows) {
    const { code, stdout, stderr } = await home.ctl(...args)
    t.equal(code, 2, args.join(' '))
    t.match(stderr, says)
    t.equal(stdout, '')
  }
})

t.test('without a server every client says how to start one, and exits 3', async t => {
  const home = new Home(t)
  for (const args of [
    ['status'],
    ['cat', 'data'],
    ['rdwr', 'data', 'x'],
    ['nodes', 'list'],
    ['health'],
    ['cp', '/n/llambo/status', 'x'],
  ]) {
    const { code, stderr, stdout } = await home.ctl(...args)
    t.equal(code, 3, args.join(' '))
    t.match(stderr, /^llamboctl: no server answers at unix!\S+\/llambo\/9p; start one with: llamboctl up -d\n$/)
    t.equal(stdout, '')
  }
  const npx = home.start(['status'], { npm_lifecycle_event: 'npx' })
  t.match((await npx.ended).stderr, /; start one with: npx llamboctl up -d\n$/, 'the remedy can be typed as it stands')
  const script = home.start(['status'], { LLAMBO_CALLED_AS: './llamboctl' })
  t.match((await script.ended).stderr, /; start one with: \.\/llamboctl up -d\n$/)
  for (const name of ['models', 'list'])
    t.match(
      await home.ctl(name),
      { code: 0, stdout: /^llambo-tiny\t\d+\tno\t/, stderr: '' },
      'the models are listed without a server',
    )
  const down = await home.ctl('down')
  t.equal(down.code, 3)
  t.equal(down.stderr, 'llamboctl: your server is not running\n')
})

t.test('help and version are not errors', async t => {
  const home = new Home(t)
  const { version } = JSON.parse(readFileSync(`${checkout}/package.json`, 'utf8'))
  t.match(await home.ctl('--version'), { code: 0, stdout: `${version}\n`, stderr: '' })
  const help = await home.ctl('--help')
  t.match(help, { code: 0, stdout: /rdwr/, stderr: '' })
  for (const { group, name, example } of programs[0]!.commands ?? []) {
    t.ok(help.stdout.includes(`\n${group}\n`), `${group}`)
    t.ok(example, `${name} has an example`)
  }
  t.match((await home.ctl('pull', '-h')).stdout, /\nExample:\n {2}llamboctl pull hf:/)
})

t.test('up prints on a terminal what to type next', async t => {
  if (spawnSync('script', ['--version']).error) return t.comment('script(1) is missing: not tried')
  const home = new Home(t)
  const said = spawnSync('script', ['-qec', `${process.execPath} ${llamboctl} up -d`, '/dev/null'], {
    env: { ...home.env, TERM: 'xterm', NO_COLOR: '1' },
    encoding: 'utf8',
  }).stdout
  t.match(
    said,
    /To type next:\r\n {2}send a prompt and read the answer:\r\n {4}llamboctl rdwr data "What is AI\?"\r\n {2}chat:\r\n {4}llamboctl limbot\r\n/,
  )
  t.notMatch(said, / # /, 'an interactive zsh passes a comment to the command')
  t.match(said, /stop the server:\r\n {4}llamboctl down\r\n/)
  t.match((await home.ctl('rdwr', 'data', 'What is AI?')).stdout, /AI\?/)
})

t.test('a model name that ends in .gguf and is a file of the current directory means that file', async t => {
  const home = new Home(t)
  home.file('cut.gguf', 'GGUF')
  t.match(flagsOf({ model: 'cut.gguf' }).model, /^cut\.gguf$/, 'without such a file it is a name')
  const { code, stderr } = await home.ctl('up', '--engine', 'llama', '--model', 'cut.gguf')
  t.equal(code, 1)
  t.notMatch(stderr, /file does not exist/)
  t.match(stderr, /cut\.gguf/)
})

t.test('errors are coloured only on a terminal, and not with NO_COLOR', async t => {
  const home = new Home(t)
  const onTerminal = (env: NodeJS.ProcessEnv) =>
    spawnSync('script', ['-qec', `${process.execPath} ${llamboctl} status`, '/dev/null'], {
      env: { ...home.env, TERM: 'xterm', ...env },
      encoding: 'utf8',
    }).stdout
  if (spawnSync('script', ['--version']).error) t.comment('script(1) is missing: only the pipe is tried')
  else {
    t.ok(onTerminal({}).includes(RED))
    t.notOk(onTerminal({ NO_COLOR: '1' }).includes(ESC))
  }
  t.notOk((await home.ctl('status')).stderr.includes(ESC))
})

t.test('the shells can parse their completion scripts, which know every command', async t => {
  const home = new Home(t)
  for (const shell of ['bash', 'zsh', 'fish']) {
    const { stdout, code } = await home.ctl('completion', shell)
    t.equal(code, 0)
    for (const [path] of all(program(table, async () => {}))) {
      t.ok(stdout.includes(path.split(' ').at(-1)!), `${shell} knows ${path}`)
    }
    // from a file, because our pipe to a child is a socket, and fish cannot open a socket by its name
    const checked = spawnSync(shell, ['-n', home.file(`completion.${shell}`, stdout)], { encoding: 'utf8' })
    if (checked.error) t.comment(`${shell} is missing: not parsed`)
    else t.equal(checked.stderr, '', shell)
  }
})

t.test('bash completes commands, options and their values', async t => {
  const home = new Home(t)
  const { stdout } = await home.ctl('completion', 'bash')
  const complete = (...words: string[]) => {
    const script = `${stdout}
COMP_WORDS=(llamboctl ${words.map(word => `'${word}'`).join(' ')}); COMP_CWORD=${words.length}; _llambo; printf '%s\\n' "\${COMPREPLY[@]}"`
    return spawnSync('bash', ['--norc'], { input: script, encoding: 'utf8', cwd: home.dir }).stdout.trim().split('\n')
  }
  t.same(complete('sta').sort(), ['stat', 'status'])
  t.same(complete('ls', '--lo'), ['--long'])
  t.same(complete('up', '--engine', 'e'), ['echo'])
  t.same(complete('config', 'sh'), ['show'])
  t.same(complete('completion', '--values', 'w'), ['worker'])
})

t.test('the reference has every command, option and setting', async t => {
  const reference = readFileSync(`${checkout}/docs/llamboctl.md`, 'utf8')
  for (const [path, command] of all(program(table, async () => {}))) {
    if (path && command.commands.length === 0) {
      t.match(reference, new RegExp(`^## .*\\b${path}\\b`, 'm'), path)
    }
    // a command that is also a program has a page of its own
    const page = `${checkout}/docs/${path}.md`
    const text = reference + (path && existsSync(page) ? readFileSync(page, 'utf8') : '')
    for (const { long, short } of command.options) {
      t.ok(text.includes(`\`${long}`), `${path} ${long}`)
      if (short) t.ok(text.includes(`\`${short}`), `${path} ${short}`)
    }
  }
  for (const key of Object.keys(settings) as Key[]) {
    t.ok(reference.includes(`| \`${key}\` | \`${settings[key].env}\` |`), key)
  }
})

t.test('config show prints the settings in force and where each comes from', async t => {
  const home = new Home(t)
  const file = home.file('.config/llambo/config.yaml', 'slots: 7\n')
  const { stdout, code } = await home.ctl('config', 'show', '--origin')
  t.equal(code, 0)
  t.match(stdout, `slots\t7\t${file}:1\n`)
  t.match(stdout, 'engine.kind\techo\tLLAMBO_ENGINE\n')
  t.match(stdout, 'auth\ttoken\tdefault\n')
  t.match((await home.ctl('config', 'show')).stdout, 'slots\t7\n')
  home.file('.config/llambo/config.yaml', 'slot: 7\n')
  t.match(await home.ctl('config', 'show'), {
    code: 2,
    stderr: /config\.yaml:1: slot: unknown key \(did you mean slots\?\)/,
  })
})

t.test('a reader that closes the pipe early is not an error', async t => {
  const home = new Home(t)
  await home.up()
  const command = `${process.execPath} ${llamboctl} rdwr data 'word x20000' | head -c 5; echo " ${'$'}{PIPESTATUS[0]}"`
  const shell = spawn('bash', ['-c', command], { env: home.env, stdio: ['ignore', 'pipe', 'pipe'] })
  let out = ''
  let err = ''
  shell.stdout.on('data', data => {
    out += data
  })
  shell.stderr.on('data', data => {
    err += data
  })
  await new Promise(resolve => shell.once('close', resolve))
  t.equal(out, '0:wor 0\n')
  t.equal(err, '')
})

t.test('a runtime directory that others may enter is refused', async t => {
  const home = new Home(t)
  mkdirSync(home.path('run/llambo'), { mode: 0o755 })
  spawnSync('chmod', ['755', home.path('run/llambo')])
  const { code, stderr } = await home.ctl('up')
  t.equal(code, 1)
  t.match(stderr, /other users can enter this directory; chmod 700 /)
})
