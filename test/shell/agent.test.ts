import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { Agent, type Oracle } from '../../ctl/shell/agent.js'
import { answerLine } from '../../ctl/shell/answer.js'
import { isAnswer, parseQuestion, type Question } from '../../ctl/shell/question.js'
import { REDACTED } from '../../ctl/shell/redact.js'
import { printed } from '../../ctl/shell/screen.js'
import { parseSent } from '../../ctl/shell/sent.js'

t.test('an exit status that is an answer, such as that of grep, is not taken for a failure', async t => {
  const rows: readonly (readonly [line: string, rc: number, answer: boolean])[] = [
    ['anything', 0, true],
    ['sleep 9', 130, true],
    ['yes | head', 141, true],
    ['vi', 148, true],
    ['grep x y', 1, true],
    ['grep x y', 2, false],
    ['ps aux | grep x', 1, true],
    ['cd a && test -e b', 1, true],
    ['[[ -e x ]]', 1, true],
    ['LC_ALL=C sudo diff a b', 1, true],
    ['git diff --exit-code', 1, true],
    ['git push', 1, false],
    ['grep x y; make', 1, false],
    ['make', 1, false],
    ['! true', 1, true],
    ['nosuch', 127, false],
  ]
  for (const [line, rc, answer] of rows) t.equal(isAnswer(line, rc), answer, `${line}: ${rc}`)
})

t.test('only the output of the command is taken from the screen', async t => {
  const screen = 'old secrets\n~/x % make all\nmake: *** no rule\nmake: stop\n~/x % \n'
  t.equal(printed(screen, 'make all'), 'make: *** no rule\nmake: stop')
  t.equal(printed(screen, 'make test'), '', 'nothing where its line is not there')
  t.equal(printed('% a\n1\n% a\n2\n% next', 'a'), '2', 'the last one')
  t.equal(printed('% for i in 1\n> do x\nerror\n% ', 'for i in 1\ndo x'), 'error')
})

const question = (changes: object = {}): Question =>
  parseQuestion(JSON.stringify({ kind: 'failure', line: 'gti x', rc: 127, pid: '7', ...changes }))!

t.test('any line is read as a question or rejected, without an exception', async t => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.json(),
        fc
          .record({ kind: fc.constantFrom('failure', 'typing'), line: fc.anything(), rc: fc.anything() })
          .map(o => JSON.stringify(o)),
      ),
      text => {
        const asked = parseQuestion(text)
        return asked === undefined || (asked.line.trim() !== '' && asked.line.length <= 1000 && !Number.isNaN(asked.rc))
      },
    ),
  )
  t.pass('a hundred texts')
})

t.test('an answer is one line without control characters, whatever the model returned', async t => {
  const said = (o: object, q = question()) => answerLine(JSON.stringify(o), q)
  t.equal(said({ cause: 'misspelt', command: 'git x' }), 'misspelt\tgit x')
  t.equal(
    said({ cause: 'a\u001b[31m\n\tb\u202e', command: 'x\ny' }),
    'a [31m b\t',
    'a command with anything odd in it is left out',
  )
  t.equal(said({ cause: 'far', command: `ls${' '.repeat(200)}; rm -rf ~` }), 'far\t', 'nothing is out of sight')
  t.equal(said({ cause: 'wide', command: 'ls\u00a0-l' }), 'wide\t')
  t.equal(said({ cause: 'same', command: 'gti x' }), 'same\t', 'and one that is the same again')
  t.equal(said({ cause: 'secret', command: `login ${REDACTED}` }), 'secret\t')
  for (const o of [{}, { cause: 1, command: [] }, [], 'text', null]) t.equal(said(o as object), '')
  t.equal(answerLine('no json', question()), '')
  const typing = question({ kind: 'typing', line: 'git ch' })
  t.equal(said({ command: 'git checkout main' }, typing), '\tgit checkout main')
  t.equal(said({ command: 'rm -rf /' }, typing), '', 'it goes on from what is typed')
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (cause, command) => {
      const line = said({ cause, command })
      return !/[^\t\P{Cc}]|\p{Cf}|\t.*\t/u.test(line) && (line === '' || line.includes('\t'))
    }),
  )
})

/** A test as tap gives it, as far as this needs it. */
interface Test {
  teardown(fn: () => unknown): unknown
  equal(found: unknown, wanted: unknown): unknown
}

/** An agent that listens, with an oracle as a test has it. */
async function agent(t: Test, oracle: Oracle, env: NodeJS.ProcessEnv = {}, idle_s = 60) {
  const dir = mkdtempSync(join(tmpdir(), 'llambo-agent-'))
  const agent = new Agent(oracle, env, idle_s)
  t.equal(await agent.listen(dir, 'sock'), true)
  t.teardown(() => {
    agent.close()
    rmSync(dir, { recursive: true, force: true })
  })
  const path = join(dir, 'sock')
  return { agent, dir, path, ask: (text: string) => ask(path, text) }
}

/** Asks; `answer` is all that comes until the other end closes. */
function ask(path: string, text: string): { socket: Socket; answer: Promise<string> } {
  const socket = connect(path)
  socket.on('error', () => undefined).write(text)
  const answer = new Promise<string>(resolve => {
    let all = ''
    socket.on('data', data => {
      all += data
    })
    socket.once('close', () => resolve(all))
  })
  return { socket, answer }
}

const line = (changes: object = {}) =>
  `${JSON.stringify({ kind: 'failure', line: 'gti x', rc: 127, pid: '7', ...changes })}\n`

t.test('the socket of the agent is private, and an invalid question gets an empty answer', async t => {
  const { path, ask, dir } = await agent(t, { ask: async () => '{"cause":"misspelt","command":"git x"}' })
  t.equal(statSync(path).mode & 0o777, 0o600)
  t.equal(await ask(line()).answer, 'misspelt\tgit x\n')
  for (const text of [
    '\n',
    'no json\n',
    '{}\n',
    'null\n',
    '[1]\n',
    line({ line: '' }),
    line({ rc: 0 }),
    line({ line: 'x'.repeat(2000) }),
  ])
    t.equal(await ask(text).answer, '\n', text.slice(0, 20))
  t.equal(await ask('x'.repeat(100_000)).answer, '', 'a question that never ends is disconnected')
  t.equal(await ask(line()).answer, 'misspelt\tgit x\n', 'the agent goes on')
  const second = new Agent({ ask: async () => '' }, {}, 60)
  t.equal(await second.listen(dir, 'sock'), false, 'a second agent ends')
  await second.ended
  t.equal(await ask(line()).answer, 'misspelt\tgit x\n', 'the second leaves the socket of the first')
})

t.test('a failing cluster gives an empty answer', async t => {
  const { ask } = await agent(t, {
    ask: async () => {
      throw new Error('the cluster is away')
    },
  })
  t.equal(await ask(line()).answer, '\n')
})

t.test('a question is aborted when its shell disconnects or asks again', async t => {
  const signals: AbortSignal[] = []
  let more: () => void = () => undefined
  const { ask, agent: one } = await agent(t, {
    ask: (_request, signal) => {
      signals.push(signal)
      more()
      return new Promise(() => undefined)
    },
  })
  const begun = async (text: string) => {
    const asked = new Promise<void>(resolve => {
      more = resolve
    })
    const question = ask(text)
    await asked
    return question
  }
  const aborted = (signal: AbortSignal) =>
    signal.aborted || new Promise(resolve => signal.addEventListener('abort', () => resolve(true)))
  const first = await begun(line())
  const second = await begun(line({ line: 'gti y' }))
  t.equal(await first.answer, '\n', 'a newer question of the same shell')
  t.ok(await aborted(signals[0]!))
  t.notOk(signals[1]!.aborted)
  const other = await begun(line({ pid: '8' }))
  t.notOk(signals[1]!.aborted, 'another shell’s does not count')
  t.equal(await ask(line({ pid: '8', number: -1 })).answer, '\n', 'nor does an older one that comes late')
  t.notOk(signals[2]!.aborted)
  second.socket.destroy()
  t.ok(await aborted(signals[1]!), 'a hang-up')
  one.close()
  t.equal(await other.answer, '\n')
  await one.ended
})

t.test('secrets are removed from what is sent, and a line with a secret is not completed', async t => {
  const sent: string[] = []
  const { ask } = await agent(
    t,
    {
      ask: async request => {
        sent.push(JSON.stringify(request))
        return '{"cause":"x","command":"deploy --token s3cret --now"}'
      },
    },
    { DEPLOY_TOKEN: 'an-own-secret' },
  )
  await ask(line({ line: 'deploy --token s3cret an-own-secret', rc: 2, cwd: '/home/ann' })).answer
  t.match(sent[0], /deploy --token \[redacted\] \[redacted\]/)
  t.notMatch(sent[0], /s3cret|an-own-secret/)
  t.match(JSON.parse(sent[0]!), {
    priority: -5,
    deadline_ms: 10_000,
    max_tokens: 256,
    schema: { required: ['cause', 'command'] },
  })
  t.match(parseSent(await ask('{"kind":"sent"}\n').answer), {
    text: /command: deploy --token \[redacted\] \[redacted\]/,
    removed: [
      { rule: '--token', text: 's3cret' },
      { rule: '$DEPLOY_TOKEN', text: 'an-own-secret' },
    ],
  })
  for (const line of ['{}', '[]', '{"text":"a"}', '{"text":"a","removed":[1]}', 'x'])
    t.throws(() => parseSent(line), { name: 'Unfit' }, line)
  t.equal(parseSent('null'), undefined)
  t.equal(await ask(line({ kind: 'typing', line: 'deploy --token s3cr' })).answer, '\n')
  t.equal(sent.length, 1)
})

t.test('the output of a command is read from kitty, and a terminal that does not answer is skipped', async t => {
  let asked: (request: object) => void = () => undefined
  const { dir, ask } = await agent(t, {
    ask: async request => {
      asked(request)
      return ''
    },
  })
  const kitty = join(dir, 'kitty')
  writeFileSync(kitty, '#!/bin/sh\nprintf "\\033[31m%s\\033[0m\\n" "$*" "TOKEN=abc"\n')
  chmodSync(kitty, 0o755)
  const { PATH } = process.env
  t.teardown(() => {
    process.env.PATH = PATH
  })
  process.env.PATH = `${dir}:${PATH}`
  const told = async (changes: object) => {
    const request = new Promise<string>(resolve => {
      asked = request => resolve(JSON.stringify(request))
    })
    await ask(line(changes)).answer
    return request
  }
  t.match(
    await told({ kitty: 'unix:/x', window: '3' }),
    /output:\\n@ --to unix:\/x get-text --match id:3 .*\\nTOKEN=\[redacted\]"/,
  )
  t.notMatch(await told({ kitty: 'unix:/x', window: '3 --all' }), /output:/, 'a window that is not a number is ignored')
  t.notMatch(await told({ tmux: '/nowhere,1,0', pane: '%1' }), /output:/)
})

t.test('an idle agent exits and removes its socket', async t => {
  const { agent: one, path } = await agent(t, { ask: async () => '' }, {}, 0.01)
  await one.ended
  t.throws(() => statSync(path), { code: 'ENOENT' })
})

t.test('the socket of a killed agent is replaced', async t => {
  const { agent: first, dir } = await agent(t, { ask: async () => '' })
  const server = (await import('node:net')).createServer()
  const stale = join(dir, 'stale')
  await new Promise<void>(resolve => server.listen(`${stale}.own`, resolve))
  const { linkSync } = await import('node:fs')
  linkSync(`${stale}.own`, stale)
  await new Promise(resolve => server.close(resolve))
  const next = new Agent({ ask: async () => '{"cause":"c","command":""}' }, {}, 60)
  t.equal(await next.listen(dir, 'stale'), true)
  t.equal(await ask(stale, line()).answer, 'c\t\n')
  next.close()
  first.close()
})

t.test('of two agents that start over the socket of a killed one, one gets it', async t => {
  const { agent: first, dir } = await agent(t, { ask: async () => '' })
  first.close()
  const server = (await import('node:net')).createServer()
  const stale = join(dir, 'stale')
  await new Promise<void>(resolve => server.listen(`${stale}.own`, resolve))
  const { linkSync, readdirSync } = await import('node:fs')
  linkSync(`${stale}.own`, stale)
  await new Promise(resolve => server.close(resolve))
  const both = [1, 2].map(n => new Agent({ ask: async () => `{"cause":"c${n}","command":""}` }, {}, 60))
  const got = await Promise.all(both.map(agent => agent.listen(dir, 'stale')))
  t.equal(got.filter(Boolean).length, 1)
  t.equal(await ask(stale, line()).answer, `c${got.indexOf(true) + 1}\t\n`)
  t.same(
    readdirSync(dir).filter(name => name.startsWith('stale')),
    ['stale'],
  )
  for (const agent of both) agent.close()
})
