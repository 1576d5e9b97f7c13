/** A cluster as its users see it: its files, lost workers, restarts, and saved state. */
import t from 'tap'
import { parseRecords } from '../../../fs/base/quote.js'
import { ndjson, readAll } from '../worker/fixture.js'
import { events, ids, Member, memoryStore, rig, say, text, until } from './fixture.js'

t.test('the root has the files of a worker, host/ and a directory for each worker', async t => {
  const cluster = await rig(t, [{}, {}])
  const root = await cluster.as('root')
  const worker = await root.names('worker-0001')
  t.same(await root.names(''), [...worker, 'host', 'worker-0001', 'worker-0002'])
  t.match(await root.read('worker-0002/status'), /^server name=worker-0002 kind=worker /)
  t.match(await root.read('namespace'), /^mount \S+ worker-0001$/m)
  t.equal(await root.ask('worker-0002/data', 'red green'), '0:red 1:green\n')
})

t.test('workers are listed by number, in whatever order they joined', async t => {
  const cluster = await rig(t, [{}, {}, {}])
  cluster.members[0]!.cut()
  await cluster.ready(2)
  cluster.members[0]!.join()
  await cluster.ready(3)
  const root = await cluster.as('root')
  const names = ['worker-0001', 'worker-0002', 'worker-0003']
  const workers = (await cluster.status()).filter(({ word }) => word === 'worker')
  t.same(
    workers.map(({ attrs }) => attrs.name),
    names,
  )
  t.same((await root.names('')).slice(-3), names)
  await t.rejects(root.write('ctl', 'drain worker-9'), {
    message: new RegExp(`no worker "worker-9"; workers: ${names.join(' ')}$`),
  })
})

t.test('a user sees through worker-N only what they may see at the root', async t => {
  const cluster = await rig(t, [{}])
  const ann = await cluster.as('ann')
  const bob = await cluster.as('bob')
  await ann.ask('data', 'my secret')
  const [task] = (await ann.names('worker-0001/task')).slice(-1)
  t.equal(await ann.read(`worker-0001/task/${task}/prompt`), 'my secret\n', 'a user sees their own task there')
  t.same(await bob.names('task'), [])
  t.same(await bob.names('worker-0001/task'), [])
  await t.rejects(bob.read(`worker-0001/task/${task}/prompt`), { message: /file does not exist/ })
  await t.rejects(bob.read('worker-0001/ctl'), { message: /permission denied/ })
  await t.rejects(bob.write('worker-0001/ctl', 'unload'), { message: /permission denied/ })
  t.equal(await bob.read('worker-0001/data'), '', 'nobody sees the answer of another user')
  const root = await cluster.as('root')
  await t.rejects(
    root.read(`worker-0001/task/${task}/prompt`),
    { message: /permission denied/ },
    'an admin may not read it, as at the root',
  )
})

t.test('if a worker dies during an answer, the reader notices nothing; trace and generate show it', async t => {
  const cluster = await rig(t, [{ rate: 50 }, { rate: 50 }])
  const ann = await cluster.as('ann')
  const fid = await ann.open('generate')
  await fid.write(0, Buffer.from(JSON.stringify(say('a b c x40'))))
  let seen = ''
  const decoder = new TextDecoder()
  while (!seen.includes('"ids":[10]')) seen += decoder.decode(await fid.read(seen.length, 65536))
  const on = /"worker":"(worker-\d+)"/.exec(seen)![1]!
  await cluster.members[Number(on.slice(-1)) - 1]!.kill()
  let piece: Uint8Array
  while ((piece = await fid.read(seen.length, 65536)).length > 0) seen += decoder.decode(piece)
  const events = seen
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line))
  t.same(
    ids(events),
    Array.from({ length: 40 }, (_, i) => i),
  )
  t.match(
    events.find(({ event }) => event === 'resume'),
    { worker: /worker-000[12]/ },
  )
  t.match(events.at(-1), { event: 'end', reason: 'stop', completion_tokens: 40 })
  const id = events[0].task
  t.match(await ann.read(`task/${id}/status`), / tries=2 resumed=1 .*completion_tokens=40/)
  t.match(await ann.read(`task/${id}/trace`), /^lost .* attempt=1$/m)
  t.match(await ann.read(`task/${id}/trace`), /^resumed .* at=\d+$/m)
})

t.test('tok_s of an answer is what its worker reports', async t => {
  const cluster = await rig(t, [{}])
  const ann = await cluster.as('ann')
  const events = await ann.events('generate', say('a b c x40'))
  const [, remote] = /^remote .* task=(\d+)/m.exec(await ann.read(`task/${events[0]!.task}/trace`))!
  const [, tok_s] = / tok_s=(\S+)/.exec(await ann.read(`worker-0001/task/${remote}/status`))!
  t.equal(events.at(-1)!.tok_s, Number(tok_s))
})

t.test('all the answers of a worker that dies go on at once on another', async t => {
  const cluster = await rig(t, [
    // an answer of 100 tokens takes longer than a slow machine needs to start sixty of them and to move half
    { rate: 6, slots: 60 },
    { rate: 6, slots: 60 },
  ])
  const ann = await cluster.as('ann')
  const asked = Array.from({ length: 60 }, () => ann.events('generate', say('a b c x100')))
  const tasks = async () => {
    const names = await ann.names('task')
    return Promise.all(names.map(async id => parseRecords(await ann.read(`task/${id}/status`))[0]!.attrs))
  }
  const come = async (so: (all: Record<string, string>[]) => boolean) => {
    let all = await tasks()
    while (!so(all) && all.every(({ state }) => state !== 'done')) all = await tasks()
    return all
  }
  const before = await come(all => all.length === 60 && all.every(({ state }) => state === 'running'))
  const moved = before.filter(({ worker }) => worker === 'worker-0001').length
  t.equal(moved, 30)
  await cluster.members[0]!.kill()
  const after = await come(all => all.filter(({ resumed }) => resumed === '1').length === moved)
  t.same([...new Set(after.map(({ state }) => state))], ['running'], 'no answer has ended when the last one goes on')
  for (const events of await Promise.all(asked)) t.equal(ids(events).length, 100)
})

t.test('an answer that may not be moved ends in an error that says how many tokens are good', async t => {
  const cluster = await rig(t, [{ rate: 50 }, { rate: 50 }])
  const [root, ann] = [await cluster.as('root'), await cluster.as('ann')]
  await root.write('ctl', 'retry resumes 0')
  const fid = await ann.open('data')
  await fid.write(0, Buffer.from('a b c x40'))
  const first = await fid.read(0, 65536)
  await Promise.all(cluster.members.map(member => member.cut()))
  let got = Buffer.from(first).toString()
  await t.rejects(
    (async () => {
      for (;;) got += Buffer.from(await fid.read(got.length, 65536)).toString()
    })(),
    { message: /^worker lost after \d+ tokens$/, errno: 5 },
  )
  t.ok(
    '0:a 1:b 2:c 3:a 4:b 5:c 6:a 7:b 8:c 9:a 10:b 11:c'.startsWith(got) || got.length > 40,
    'the text before the error is good',
  )
  const [id] = (await ann.names('task')).slice(-1)
  t.equal(
    await ann.read(`task/${id}/answer`).catch(error => error.message),
    `worker lost after ${got.split(' ').length} tokens`,
  )
})

t.test('when only the connection to a worker breaks, the answer is found there again and not made twice', async t => {
  const cluster = await rig(t, [{ rate: 50 }])
  const ann = await cluster.as('ann')
  const answer = ann.ask('data', 'a b c x30')
  await until(async () => (await ann.names('task')).length === 1)
  await until(async () => /state=running/.test(await ann.read('task/1/status')))
  cluster.members[0]!.cut()
  cluster.members[0]!.join()
  t.equal(await answer, `${Array.from({ length: 30 }, (_, i) => `${i}:${'abc'[i % 3]}`).join(' ')}\n`)
  const trace = await ann.read('task/1/trace')
  t.match(trace, /^found .* attempt=1$/m)
  t.notMatch(trace, /^routed .* attempt=2/m, 'there was no second attempt')
})

t.test('a restarted orchestrator has its tasks, its sessions and its numbers', async t => {
  const files = new Map<string, string>()
  const first = await rig(t, [{ rate: 50 }], { store: memoryStore(files) })
  const ann = await first.as('ann')
  const session = await ann.session()
  t.equal(await ann.ask(`session/${session}/data`, 'one two'), '0:one 1:two\n')
  const fid = await ann.open(`session/${session}/data`)
  await fid.write(0, Buffer.from('a b c x40'))
  await fid.read(0, 100)
  const [id] = (await ann.names('task')).slice(-1)
  await until(() => files.has(`session-${session}`))
  const kept = new Map(files)
  // killed: its connections are gone, and nothing more is written
  first.members[0]!.cut()

  const second = await rig(t, [], { store: memoryStore(kept) })
  const worker = first.members[0]!
  Object.assign(worker, { cluster: second.cluster })
  worker.join()
  const again = await second.as('ann')
  await until(async () => (await again.names('task')).includes(id!))
  const answer = await again.open(`task/${id}/answer`, 0)
  t.equal(await readAll(answer), `${Array.from({ length: 40 }, (_, i) => `${i}:${'abc'[i % 3]}`).join(' ')}\n`)
  await until(async () => (await again.read(`session/${session}/history`)).includes('39:a'))
  t.match(await again.read(`session/${session}/history`), /"one two".*\n.*0:one 1:two.*\n.*"a b c x40".*\n.*39:a/)
  await again.ask('data', 'new')
  const [last] = (await again.names('task')).slice(-1)
  t.ok(Number(last) > Number(id), 'a number is never given twice')
  await first.cluster.close()
})

t.test(
  'a turn whose worker comes back after the next turn has ended is in the history with question and answer',
  async t => {
    const files = new Map<string, string>()
    const first = await rig(t, [{ rate: 50 }], { store: memoryStore(files) })
    const ann = await first.as('ann')
    const session = await ann.session()
    await ann.ask(`session/${session}/data`, 'one two')
    const fid = await ann.open(`session/${session}/data`)
    await fid.write(0, Buffer.from('late red x40'))
    await fid.read(0, 100)
    await until(() => files.has(`session-${session}`))
    const kept = new Map(files)
    first.members[0]!.cut()

    const second = await rig(t, [], { store: memoryStore(kept) })
    const other = new Member(second.cluster, { host: 'beta' }, 'id-2')
    t.teardown(() => other.worker.close())
    await other.start()
    await second.ready(1)
    const again = await second.as('ann')
    // the same question again
    await again.ask(`session/${session}/data`, 'late red x40')
    const worker = first.members[0]!
    Object.assign(worker, { cluster: second.cluster })
    worker.join()
    const history = async () => ndjson(await again.read(`session/${session}/history`))
    await until(async () => (await history()).length > 4 && /39:red$/.test(`${(await history()).at(-1)?.content}`))
    const turn = ['user late red x40', /^assistant 0:late 1:red .* 39:red$/]
    const said = (await history()).map(({ role, content }) => `${role} ${content}`)
    t.match(said, ['user one two', 'assistant 0:one 1:two', ...turn, ...turn])
    await first.cluster.close()
  },
)

t.test(
  'embed is answered by the least loaded worker, also when all slots are taken, and by another if that one goes',
  async t => {
    let asked!: () => void
    const begun = new Promise<void>(resolve => {
      asked = resolve
    })
    const embed = () => {
      asked()
      return new Promise<never>(() => undefined)
    }
    const cluster = await rig(t, [
      { models: ['red'], slots: 1, rate: 10, engine: (_, engine) => ({ ...engine, embed }) },
      { models: ['red'], slots: 1, rate: 10 },
      { models: ['blue'], slots: 1, rate: 10 },
    ])
    const ann = await cluster.as('ann')
    const answers = Array.from({ length: 3 }, () => ann.ask('data', 'a x1000').catch(() => undefined))
    const busy = async () => (await cluster.status()).filter(({ attrs }) => attrs.state === 'busy').length
    await until(async () => (await busy()) === 4)
    const vectors = ann.ask('embed', '{"input":["one","two"],"model":"red"}')
    await begun
    await cluster.members[0]!.kill()
    t.match(JSON.parse(await vectors), { model: 'red', embeddings: { length: 2 } })
    t.match(JSON.parse(await ann.ask('embed', '{"input":"one","model":"blue"}')), {
      model: 'blue',
      embeddings: { length: 1 },
    })
    await t.rejects(ann.ask('embed', '{"input":"one","model":"green"}'), { message: 'no worker serves green' })
    await t.rejects(ann.ask('worker-0003/embed', '{"input":"one","model":"red"}'), { message: /^no worker serves red/ })
    for (const task of await ann.names('task')) await ann.write(`task/${task}/ctl`, 'cancel')
    await Promise.all(answers)
  },
)

t.test('a restarted orchestrator has the settings that were written to ctl', async t => {
  const files = new Map<string, string>()
  const store = memoryStore(files)
  const told =
    'strategy random\nqueue max 9 ttl 30\nscale min 1 max 12 up 0.8 down 0.2 step 2 cooldown 30\nautoscale on\n'
  const first = await (await rig(t, [], { store })).as('root')
  const initial = await first.read('ctl')
  await first.write('ctl', `${told}temperature 0.2\nsystem 'one\nautoscale off'`)
  await until(() => /system/.test(files.get('ctl') ?? ''))
  t.notMatch(files.get('ctl'), /heartbeat/, 'defaults are not saved')
  const second = await (await rig(t, [], { store })).as('root')
  t.equal(await second.read('ctl'), await first.read('ctl'))
  await second.write('ctl', `${initial}temperature\nsystem ''`)
  await until(() => !files.has('ctl'))
  files.set('ctl', 'strategy best\nheartbeat 5')
  const third = await (await rig(t, [], { store })).as('root')
  t.match(await third.read('ctl'), /^strategy specialise\n.*heartbeat 5\n/s, 'invalid lines are left out')
  const fid = await third.open('event', 0)
  t.match(
    Buffer.from(await fid.read(0, 65536)).toString(),
    /kind=not-restored setting='strategy best' error='bad argument/,
  )
  files.set('ctl', "system 'cut off")
  t.equal(await (await (await rig(t, [], { store })).as('root')).read('ctl'), initial)
})

t.test('a damaged session is set aside and logged, and the others are restored', async t => {
  const files = new Map<string, string>()
  const store = memoryStore(files)
  const ann = await (await rig(t, [], { store })).as('ann')
  const [good, cut] = [await ann.session(), await ann.session()]
  for (const id of [good, cut]) await ann.write(`session/${id}/history`, '{"role":"user","content":"hello"}\n')
  await until(() => files.has(`session-${good}`) && files.has(`session-${cut}`))
  const saved = files.get(`session-${cut}`)!
  files.set(`session-${cut}`, saved.slice(0, -5))
  const again = await (await rig(t, [], { store })).as('ann')
  t.match(await again.read(`session/${good}/history`), /hello/)
  t.notOk((await again.names('session')).includes(cut))
  t.match(await again.read('events'), new RegExp(`kind=not-restored session=${cut} kept=session-${cut}.damaged error=`))
  await until(() => !files.has(`session-${cut}`))
  t.equal(files.get(`session-${cut}.damaged`), saved.slice(0, -5))
})

t.test('every part of a saved session is restored, and each is checked against its bounds', async t => {
  const files = new Map<string, string>()
  const store = memoryStore(files)
  const ann = await (await rig(t, [], { store })).as('ann')
  const id = await ann.session()
  const ctl = `model echo\ntemperature 0.5\ntop_k 7\nstop END\nschema '{"type":"object"}'\nttl 60\n`
  const history = '{"role":"user","content":"hi"}\n{"role":"assistant","content":"ho","stopped":true}\n'
  await ann.write(`session/${id}/ctl`, ctl)
  await ann.write(`session/${id}/system`, 'be brief')
  await ann.write(`session/${id}/history`, history)
  await until(() => files.get(`session-${id}`)?.includes('"ho"') ?? false)
  const again = await (await rig(t, [], { store })).as('ann')
  t.equal(await again.read(`session/${id}/ctl`), ctl)
  t.equal(await again.read(`session/${id}/system`), 'be brief\n')
  t.equal(await again.read(`session/${id}/history`), history)

  const saved = JSON.parse(files.get(`session-${id}`)!)
  const wrong: Record<string, object> = {
    '"king"': { user: { ...saved.user, role: 'king' } },
    name: { user: { ...saved.user, name: 'a/b' } },
    uid: { user: { ...saved.user, uid: -1 } },
    temperature: { settings: { ...saved.settings, sampling: { temperature: 99 } } },
    stop: { settings: { ...saved.settings, sampling: { stop: Array(17).fill('x') } } },
    system: { settings: { ...saved.settings, system: 7 } },
    model: { model: 'm'.repeat(5000) },
    schema: { schema: 'text' },
    ttl: { ttl: 1e9 },
    'history[0]': { history: [3] },
    role: { history: [{ role: 'robot', content: '' }] },
    content: { history: [{ role: 'user', content: 1 }] },
  }
  const damaged = Object.entries(wrong).map(([what, part], i) => [what, 70 + i, { ...saved, ...part }] as const)
  for (const [, number, part] of damaged) files.set(`session-${number}`, JSON.stringify(part))
  const cluster = await rig(t, [], { store })
  const told = await events(cluster, 'not-restored')
  for (const [what, number] of damaged) {
    t.match(told.find(({ session }) => session === String(number))?.error, what, `session-${number}`)
    t.ok(files.has(`session-${number}.damaged`))
  }
  t.same(await (await cluster.as('ann')).names('session'), ['clone', id])
})

t.test('damaged files of an earlier server are set aside and logged, and the cluster starts', async t => {
  const damaged = {
    id: 'no id\u0000',
    secret: 'short',
    counters: 'task 5000\nsession many\n',
    joiners: 'joiner id=../x',
    ctl: 'strategy best\nheartbeat 5',
  }
  const files = new Map(Object.entries({ ...damaged, 'session-70': '{' }))
  const cluster = await rig(t, [{}], { store: memoryStore(files) })
  const root = await cluster.as('root')
  for (const [name, text] of Object.entries(damaged)) {
    t.equal(files.get(`${name}.damaged`), text)
    t.not(files.get(name), text)
  }
  const kept = (await events(cluster, 'not-restored')).flatMap(({ kept }) => kept ?? [])
  t.same(
    kept,
    ['id', 'secret', 'counters', 'joiners', 'session-70', 'ctl'].map(name => `${name}.damaged`),
  )
  // the whole lines were kept, and the next start finds nothing damaged
  await until(() => files.get('ctl') === 'heartbeat 5')
  t.match(await root.events('generate', say('hello')), [{ task: '5001' }])
  t.equal(await root.session(), '71', 'a number that was given is not given again')
  await cluster.cluster.close()
  const again = await rig(t, [], { store: memoryStore(files) })
  t.same(await events(again, 'not-restored'), [])
})

t.test('a drained worker gets no more prompts and no answer is lost, so that all can be replaced in turn', async t => {
  const cluster = await rig(t, [{ rate: 50 }, { rate: 50 }])
  const [root, ann] = [await cluster.as('root'), await cluster.as('ann')]
  const answers = Array.from({ length: 4 }, (_, i) => ann.ask('data', `p${i} x60`))
  await until(
    async () =>
      (await cluster.status()).filter(({ word, attrs }) => word === 'worker' && attrs.state === 'busy').length === 2,
  )
  await root.write('ctl', 'drain worker-0001')
  t.match((await cluster.status()).find(({ attrs }) => attrs.name === 'worker-0001')!.attrs, { state: 'draining' })
  // without waiting for it to finish: its answers move
  await cluster.members[0]!.kill()
  await cluster.members[0]!.start()
  for (const [i, answer] of answers.entries())
    t.equal(await answer, `${Array.from({ length: 60 }, (_, n) => `${n}:p${i}`).join(' ')}\n`)
  await cluster.ready()
  t.same(
    (await root.names('')).filter(name => name.startsWith('worker-')).sort(),
    ['worker-0001', 'worker-0002'],
    'the worker has its name again',
  )
})

t.test('a new heartbeat interval in ctl takes effect at once', async t => {
  const cluster = await rig(t, [{}], { settings: { heartbeat_s: 60 } })
  const root = await cluster.as('root')
  const member = cluster.members[0]!
  // from now on the worker answers nothing
  member.worker.root.walk = () => new Promise(() => undefined)
  await root.write('ctl', 'heartbeat 0.1')
  await until(async () => !(await root.names('')).includes('worker-0001'))
  const events = await root.open('event', 0)
  t.match(
    Buffer.from(await events.read(0, 65536)).toString(),
    /kind=worker-suspect worker=worker-0001 missed=2[\s\S]*kind=worker-left worker=worker-0001 .*5 heartbeats/,
  )
})

t.test('the progress of a long prefill is reported in steps of a hundredth', async t => {
  const cluster = await rig(t, [
    {
      engine: (_model, echo) => ({
        ...echo,
        async *generate(request, signal) {
          for await (const chunk of echo.generate(request, signal)) {
            if (chunk.event !== 'start') {
              yield chunk
              continue
            }
            yield { ...chunk, prompt_tokens: 1000 }
            for (const tokens of [100, 101, 400, 400, 900]) yield { event: 'prefill', tokens }
          }
        },
      }),
    },
  ])
  const ann = await cluster.as('ann')
  const events = await ann.events('generate', say('hi'))
  t.match(
    events
      .filter(({ event }) => event !== 'queued')
      .map(({ event, tokens, prompt_tokens }) => [event, tokens, prompt_tokens]),
    [
      ['prefill', 100, 1000],
      ['prefill', 400, 1000],
      ['prefill', 900, 1000],
      ['start', undefined, 1000],
    ],
  )
  t.equal(text(events), '0:hi')
})
