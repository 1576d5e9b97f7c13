/** limbot without a chat: one message from words, standard input and files, and its answer. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import t, { type Test } from 'tap'
import { Home, type Run } from '../ctl/fixture.js'
import { homeOf, limbot, Model } from './fixture.js'

const code = 'Take this:\n\n```sh\nls -l\n```\n\nor that:\n\n```sh\nls\n```\n'

async function* forEver(closed: Promise<void>): AsyncGenerator<string> {
  yield 'it begins\n'
  await closed
}

async function* long(): AsyncGenerator<string> {
  for (let i = 0; i < 100; i++) yield 'word '.repeat(2000)
}

t.test('limbot, one answer', async t => {
  const model = await Model.start(t, (last, { closed }) => {
    if (last === 'go on') return forEver(closed)
    if (last === 'long') return long()
    return last === 'code' ? code : `you said **${last.replaceAll('\n', ' / ')}**`
  })
  const home = homeOf(t, model)
  await home.up()
  const start = (args: readonly string[], input?: string, env: NodeJS.ProcessEnv = {}): Run => {
    const run = home.start(args, env, [limbot])
    run.child.stdin!.on('error', () => {}).end(input)
    return run
  }
  const ask = (args: readonly string[], input?: string, env?: NodeJS.ProcessEnv) => start(args, input, env).ended
  /** Runs independent command lines, all at once. */
  const all = (
    t: Test,
    rows: readonly (readonly [args: readonly string[], result: object, input?: string, env?: NodeJS.ProcessEnv])[],
  ) =>
    Promise.all(
      rows.map(async ([args, result, input, env]) => t.match(await ask(args, input, env), result, args.join(' '))),
    )
  const kept = () => readdirSync(home.path('.local/share/llambo/sessions')).sort()

  await t.test('the message is standard input, then the words; standard output is only the answer', async t => {
    t.same(await ask(['what', 'is this?']), { code: 0, stdout: 'you said **what is this?**\n', stderr: '' })
    t.same(await ask(['sum', 'up'], 'a text\n'), { code: 0, stdout: 'you said **a text /  / sum up**\n', stderr: '' })
    t.equal((await ask([], 'a text\n')).stdout, 'you said **a text**\n')
    t.equal((await home.ctl('limbot', 'through llamboctl')).stdout, 'you said **through llamboctl**\n')
    t.equal((await home.ctl('ls', 'session')).stdout, 'clone\n', 'no session is left behind')
  })

  await t.test('a conversation is saved and can be resumed, unless -n is given', async t => {
    t.match(model.given, ['user: through llamboctl'])
    await ask(['-c', 'and then?'])
    t.equal(model.given.length, 3)
    const all = kept()
    await ask(['-n', 'secret'])
    t.same(kept(), all)
    t.equal((await ask(['--session', 'WHAT is', 'go back'])).code, 0)
    t.match(model.given, ['user: what is this?', /^assistant/, 'user: go back'])
    t.match(await ask(['--session', 'none', 'x']), { code: 2, stderr: /no conversation "none"; limbot --list/ })
  })

  await t.test('a conversation that cannot be read is named by --session, --list and -c', async t => {
    const broken = home.file(
      '.local/share/llambo/sessions/broken.jsonl',
      '{"limbot":1,"id":"broken"}\n{"role":"nobody"}\n',
    )
    for (const name of [broken, 'broken'])
      t.match(await ask(['--session', name, 'x']), { code: 2, stderr: /broken\.jsonl:2: not a message/ })
    const said = /broken\.jsonl:2: not a message .*; skipped until you repair or remove the file\n/
    t.match(await ask(['--list']), { code: 0, stderr: said })
    t.match(await ask(['-c', 'x']), { code: 0, stderr: said })
    rmSync(broken)
  })

  await t.test('the title of a listed conversation is made of the words, not of piped input', async t => {
    await ask(['what is', 'wrong here?'], 'diff --git a b\n')
    const [first, ...rest] = (await ask(['--list'])).stdout.trimEnd().split('\n')
    t.match(first, /^\d{8}-\d{6}-\w{4}\t\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\t2\twhat is wrong here\?$/)
    t.equal(rest.length, kept().length - 1)
  })

  await t.test('options change the output and the request; the command line overrides the environment', async t => {
    await all(t, [
      [
        ['--json', 'x'],
        { stdout: /^\{"text":"you said \*\*x\*\*",.*"worker":"worker-0001","model":"m",.*"reason":"stop".*\}\n$/ },
      ],
      [['-x', 'code'], { code: 0, stdout: 'ls -l\n' }],
      [['-x', 'no code'], { code: 1, stdout: '', stderr: /no code block; omit -x/ }],
      [['--no-stream', 'x'], { stdout: 'you said **x**\n' }],
    ])
    const asked = model.asked.length
    const dry = await ask(['--dry-run', '-s', 'Be brief.', '--temperature', '0.5', 'x'])
    t.same(JSON.parse(dry.stdout), {
      temperature: 0.5,
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'x' },
      ],
    })
    t.equal(model.asked.length, asked)
    await ask(['-s', 'Be brief.', '--temperature', '0.5', 'x'], undefined, { LLAMBO_LIMBOT_TEMPERATURE: '1' })
    t.same(model.given, ['system: Be brief.', 'user: x'])
    t.equal(model.asked.at(-1)!.temperature, 0.5)
    await ask(['x'], undefined, { LLAMBO_LIMBOT_TEMPERATURE: '1' })
    t.equal(model.asked.at(-1)!.temperature, 1)
  })

  await t.test('a resumed conversation keeps its settings, and the command line overrides them', async t => {
    const pirate = home.file('.config/llambo/roles/pirate.md', '---\ntop_p: 0.5\n---\nTalk like a pirate.\n')
    await ask(['-r', 'pirate', '-s', 'Be brief.\nAnd kind.', '--temperature', '0.5', 'chosen'])
    t.equal(
      (await ask(['-c', 'two'])).stderr,
      '“chosen”, 2 messages · role pirate · system Be brief. · temperature 0.5\n',
    )
    t.equal(model.given[0], 'system: Be brief.\nAnd kind.\n\nTalk like a pirate.')
    t.equal(model.asked.at(-1)!.temperature, 0.5)
    t.equal((await ask(['-c', '--temperature', '0', '-s', '', 'three'])).stderr, '“chosen”, 4 messages · role pirate\n')
    t.equal(model.given[0], 'system: Talk like a pirate.')
    t.equal(model.asked.at(-1)!.temperature, 0)
    rmSync(pirate)
    t.match(
      (await ask(['-c', 'four'])).stderr,
      /^no role "pirate"; to make it, create \S+\/pirate\.md; continuing without it\n“chosen”, 6 messages · role pirate · temperature 0\n$/,
    )
    t.equal(model.given[0], 'user: chosen')
    t.match(await ask(['-c', '-r', 'other', 'x']), { code: 2, stderr: /no role "other"/ })
    await ask(['plain'])
    t.equal((await ask(['-c', 'again'])).stderr, '“plain”, 2 messages\n')
  })

  await t.test('files are attached by -f and by @ in the message', async t => {
    home.file('a.txt', 'has ``` in it\n')
    t.equal((await ask(['-f', home.path('a.txt'), 'look'])).stderr, `attached ${home.path('a.txt')} (14 B)\n`)
    t.equal(model.given[0], `user: look\n\n${home.path('a.txt')}:\n\`\`\`\`\nhas \`\`\` in it\n\`\`\`\``)
    await all(t, [
      [['-f', '-', '-f', 'a.txt', 'look'], { code: 0, stderr: /attached standard input.*\nattached a\.txt/ }, 'piped'],
      [['look at @a.txt.'], { code: 0, stderr: /attached a\.txt/ }],
      [['mail \\@bob'], { code: 0, stdout: /mail @bob/ }],
      [['@none'], { code: 2, stdout: '', stderr: /^limbot: @none: file does not exist/ }],
      [['@.'], { code: 2, stderr: /is a directory/ }],
      [['-f', '/dev/zero', 'x'], { code: 2, stderr: /^limbot: \/dev\/zero: not a regular file; / }],
    ])
  })

  await t.test('a mistake gives a message and the right exit code', async t => {
    // a socket's path may have 107 bytes: below the checkout it may be longer
    const nowhere = home.path('nowhere')
    mkdirSync(nowhere, { mode: 0o700 })
    const env = { LLAMBO_LIMBOT_STATS: 'maybe' }
    await all(t, [
      [[], { code: 2, stderr: /missing message/ }],
      [['--rol', 'x'], { code: 2, stderr: /did you mean --role/i }],
      [['--temperature', '9', 'x'], { code: 2, stderr: /--temperature: temperature: expected a number from 0 to 5/ }],
      [['-r', 'none', 'x'], { code: 2, stderr: /no role "none"/ }],
      [
        ['-m', 'none', 'x'],
        {
          code: 1,
          stderr: /no model "none"; models: m llambo-tiny; the loaded model answers[\s\S]*no worker serves none/,
        },
      ],
      [['x'], { code: 0, stderr: 'LLAMBO_LIMBOT_STATS: stats: expected on or off, not "maybe"\n' }, '', env],
      [['x'], { code: 3, stdout: '', stderr: /start one with: llamboctl up/ }, '', { XDG_RUNTIME_DIR: nowhere }],
    ])
    t.equal((await ask(['-m', 'none', 'x'])).code, 1)
    t.match(await ask(['-c', 'x']), { code: 0, stdout: /you said \*\*x/ }, 'a model that was refused is not saved')
  })

  await t.test('Ctrl-C ends an answer at the model as well, and the text so far is printed and saved', async t => {
    const run = start(['go on'])
    await run.says(/it begins/)
    run.child.kill('SIGINT')
    t.same(await run.ended, { code: 130, stdout: 'it begins\n', stderr: '[stopped]\n' })
    await model.asked.at(-1)!.closed
    await ask(['-c', 'and?'])
    t.same(model.given, ['user: go on', 'assistant: it begins', 'user: and?'])
  })

  await t.test('limbot exits with 0 if the reader of its output closes the pipe', async t => {
    const command = `"$0" "$1" long --max-tokens 1000000 | head -c 5; echo "; \${PIPESTATUS[0]}"`
    const child = spawn('bash', ['-c', command, process.execPath, limbot], {
      env: home.env,
      cwd: home.dir,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let said = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', data => (said += data))
    await once(child, 'close')
    t.equal(said, 'word ; 0\n')
  })

  await t.test('limbot.conf is a file of the server, which refuses invalid settings', async t => {
    t.equal((await home.feed('temperature: 0.125\n', 'write', 'usr/llambo/limbot.conf')).code, 0)
    await ask(['x'])
    t.equal(model.asked.at(-1)!.temperature, 0.125)
    t.match(await home.feed('stats: on\ntemprature: 1\n', 'write', 'usr/llambo/limbot.conf'), {
      code: 1,
      stderr: /bad argument: limbot\.conf:2: temprature: unknown setting \(did you mean temperature\?\)/,
    })
    t.equal((await home.ctl('cat', 'usr/llambo/limbot.conf')).stdout, 'temperature: 0.125\n')
    const file = home.path('.config/llambo/limbot.conf')
    t.equal(readFileSync(file, 'utf8'), 'temperature: 0.125\n')
    t.equal(statSync(file).mode & 0o777, 0o600)
    t.match((await home.ctl('ls', '-l', 'usr')).stdout, /^drwx------/)
    await home.feed('', 'write', 'usr/llambo/limbot.conf')
    t.equal(readFileSync(file, 'utf8'), '')
  })
})

t.test('before a message would overflow the context, older messages are summarised', async t => {
  const home = new Home(t, { LLAMBO_ENGINE_CONTEXT: '256', LLAMBO_MDNS: 'off' })
  await home.up()
  const asked = async (env: Record<string, string>, ...args: string[]) => {
    const run = home.start(args, { LLAMBO_LIMBOT_MAX_TOKENS: '60', ...env }, [limbot])
    run.child.stdin!.end()
    return run.ended
  }
  const ask = (...args: string[]) => asked({}, ...args)
  // many words of one letter: more tokens than a text of that length usually has
  const words = `${'a '.repeat(120)}x1`
  for (const args of [[words], ['-c', words]]) t.same((await ask(...args)).stdout, '0:a\n')
  const unsaved = await asked({ LLAMBO_LIMBOT_SAVE: 'off' }, '-c', `${'b '.repeat(60)}x3`)
  t.match(unsaved.stderr, /^summarised 4 messages in \d+ tokens$/m, 'nothing is said of a saved conversation')
  const third = await ask('-c', `${'b '.repeat(60)}x3`)
  t.match(third, { code: 0, stdout: '0:b 1:b 2:b\n' })
  t.match(third.stderr, /^context full/m)
  t.match(third.stderr, /^summarised 4 messages in \d+ tokens; the saved conversation has all messages$/m)
  const [file] = readdirSync(home.path('.local/share/llambo/sessions'))
  const messages = readFileSync(home.path('.local/share/llambo/sessions', file!), 'utf8').trim().split('\n').slice(1)
  const kinds = messages
    .map(line => JSON.parse(line))
    .map(({ past, content }) => (past ? 'past' : content.slice(0, 13)))
  const before = messages.length
  const fourth = await ask('-c', `${'word '.repeat(400)}x1`)
  t.match(fourth, { code: 1, stderr: /^limbot: context full/m })
  t.notMatch(fourth.stderr, /summaris/, 'nothing is summarised for a message that is too long by itself')
  const after = readFileSync(home.path('.local/share/llambo/sessions', file!), 'utf8').trim().split('\n').slice(1)
  t.equal(after.length, before + 1, 'the message is saved, so that the user can shorten it')
  t.same(kinds, [...Array(4).fill('past'), 'Summary of th', 'I will contin', 'b b b b b b b', '0:b 1:b 2:b'])
})
