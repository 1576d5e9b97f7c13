import t from 'tap'
import type { Engine } from '../../../cluster/worker/engine/engine.js'
import { OWRITE } from '../../../fs/protocol.js'
import { parseRecords } from '../../../fs/quote.js'
import { TestClock } from '../clock.js'
import { readAll } from '../worker/fixture.js'
import { joins, Member, memoryStore, type Rig, rig, until } from './fixture.js'

const say = (content: string) => ({ messages: [{ role: 'user', content }] })
const text = (events: Record<string, unknown>[]) => events.map(({ text }) => text ?? '').join('')
const ids = (events: Record<string, unknown>[]) => events.flatMap(({ ids }) => (ids as number[]) ?? [])

t.test('the root has the files of a worker, and host/ and each worker beside them', async t => {
  const cluster = await rig(t, [{}, {}])
  const root = await cluster.as('root')
  const worker = await root.names('worker-0001')
  t.same(await root.names(''), [...worker, 'host', 'worker-0001', 'worker-0002'])
  t.match(await root.read('worker-0002/status'), /^server name=worker-0002 kind=worker /)
  t.match(await root.read('namespace'), /^mount \S+ worker-0001$/m)
  t.equal(await root.ask('worker-0002/data', 'red green'), '0:red 1:green\n')
})

t.test('workers are shown by number, whatever order they came in', async t => {
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
  await t.rejects(root.write('ctl', 'drain worker-9'), { message: new RegExp(`there are ${names.join(' ')}$`) })
})

t.test('what a user may not see at the root he may not see through worker-N either', async t => {
  const cluster = await rig(t, [{}])
  const ann = await cluster.as('ann')
  const bob = await cluster.as('bob')
  await ann.ask('data', 'my secret')
  const [task] = (await ann.names('worker-0001/task')).slice(-1)
  t.equal(await ann.read(`worker-0001/task/${task}/prompt`), 'my secret\n', 'it is hers there, too')
  t.same(await bob.names('task'), [])
  t.same(await bob.names('worker-0001/task'), [])
  await t.rejects(bob.read(`worker-0001/task/${task}/prompt`), { message: /file does not exist/ })
  await t.rejects(bob.read('worker-0001/ctl'), { message: /permission denied/ })
  await t.rejects(bob.write('worker-0001/ctl', 'unload'), { message: /permission denied/ })
  t.equal(await bob.read('worker-0001/data'), '', 'nor her answer')
  const root = await cluster.as('root')
  await t.rejects(root.read(`worker-0001/task/${task}/prompt`), { message: /permission denied/ }, 'as at the root')
})

t.test('a worker that dies in the midst of an answer: the reader notices nothing, trace and generate tell', async t => {
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

t.test('how fast an answer was made is what its worker says', async t => {
  const cluster = await rig(t, [{}])
  const ann = await cluster.as('ann')
  const events = await ann.events('generate', say('a b c x40'))
  const [, remote] = /^remote .* task=(\d+)/m.exec(await ann.read(`task/${events[0]!.task}/trace`))!
  const [, tok_s] = / tok_s=(\S+)/.exec(await ann.read(`worker-0001/task/${remote}/status`))!
  t.equal(events.at(-1)!.tok_s, Number(tok_s))
})

t.test('of a worker with many answers all go on at once, however long they take', async t => {
  const cluster = await rig(t, [
    { rate: 20, slots: 60 },
    { rate: 20, slots: 60 },
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
  t.same([...new Set(after.map(({ state }) => state))], ['running'], 'none has ended when the last goes on')
  for (const events of await Promise.all(asked)) t.equal(ids(events).length, 100)
})

t.test('a stream that may not be moved ends in an error that says how many tokens are good', async t => {
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
  t.ok('0:a 1:b 2:c 3:a 4:b 5:c 6:a 7:b 8:c 9:a 10:b 11:c'.startsWith(got) || got.length > 40, 'what came is good')
  const [id] = (await ann.names('task')).slice(-1)
  t.equal(
    await ann.read(`task/${id}/answer`).catch(error => error.message),
    `worker lost after ${got.split(' ').length} tokens`,
  )
})

t.test('a connection that is cut while the worker lives: its answer is found again, nothing is made twice', async t => {
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
  t.notMatch(trace, /^routed .* attempt=2/m, 'no second attempt was needed')
})

t.test('an orchestrator that is started again has its tasks, its sessions and its numbers', async t => {
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
  'embed is answered by who has least to do, also when all slots are taken, and by another where that one goes',
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

t.test('what ctl was told holds for an orchestrator that is started again', async t => {
  const files = new Map<string, string>()
  const store = memoryStore(files)
  const told =
    'strategy random\nqueue max 9 ttl 30\nscale min 1 max 12 up 0.8 down 0.2 step 2 cooldown 30\nautoscale on\n'
  const first = await (await rig(t, [], { store })).as('root')
  const initial = await first.read('ctl')
  await first.write('ctl', `${told}temperature 0.2\nsystem 'one\nautoscale off'`)
  await until(() => /system/.test(files.get('ctl') ?? ''))
  t.notMatch(files.get('ctl'), /heartbeat/, 'not what is so anyway')
  const second = await (await rig(t, [], { store })).as('root')
  t.equal(await second.read('ctl'), await first.read('ctl'))
  await second.write('ctl', `${initial}temperature\nsystem ''`)
  await until(() => !files.has('ctl'))
  files.set('ctl', 'strategy best\nheartbeat 5')
  const third = await (await rig(t, [], { store })).as('root')
  t.match(await third.read('ctl'), /^strategy specialise\n.*heartbeat 5\n/s, 'what cannot be meant is left out')
  const fid = await third.open('events', 0)
  t.match(
    Buffer.from(await fid.read(0, 65536)).toString(),
    /kind=not-restored setting='strategy best' error='bad argument/,
  )
  files.set('ctl', "system 'cut off")
  t.equal(await (await (await rig(t, [], { store })).as('root')).read('ctl'), initial)
})

t.test('a prompt that waits says where it stands, and is fair between users', async t => {
  const cluster = await rig(t, [{ rate: 40, slots: 1 }])
  const [ann, bob] = [await cluster.as('ann'), await cluster.as('bob')]
  const order: string[] = []
  const ask = async (who: typeof ann, name: string) => {
    await who.ask('data', `${name} x4`)
    order.push(name)
  }
  // nothing ends while they come
  const first = ann.ask('data', 'first x100000')
  first.catch(() => undefined)
  await until(async () => (await ann.names('task')).length === 1)
  const anns = ['a1', 'a2', 'a3', 'a4'].map(name => ask(ann, name))
  await until(async () => (await ann.names('task')).length === 5)
  const bobs = ['b1', 'b2'].map(name => ask(bob, name))
  await until(async () => (await bob.names('task')).length === 2)
  const [b1] = await bob.names('task')
  t.match(await bob.read(`task/${b1}/status`), / state=queued .*position=\d eta_s=[\d.]+/)
  await ann.write('task/1/ctl', 'cancel')
  await Promise.all([...anns, ...bobs])
  t.ok(order.indexOf('b1') <= 2, `not behind all of the other's: ${order}`)
  t.ok(order.indexOf('b2') < order.indexOf('a4'), String(order))
})

t.test('one user does not keep another out of the queue: in a full one who has most gives way', async t => {
  const cluster = await rig(t, [])
  const [root, ann, bob, cat] = await Promise.all(['root', 'ann', 'bob', 'cat'].map(name => cluster.as(name)))
  await root!.write('ctl', 'queue max 4')
  const answers: Promise<string>[] = []
  const wait = async (who: typeof ann, prompt: string) => {
    const before = (await who!.names('task')).length
    answers.push(who!.ask('data', prompt).catch((error: Error) => error.message))
    await until(async () => (await who!.names('task')).length > before)
  }
  for (const prompt of ['a1', 'a2', 'a3', 'a4']) await wait(ann, prompt)
  await t.rejects(ann!.ask('data', 'a5'), { message: /^queue full, retry after \d+ s$/ }, 'nobody gives way to himself')
  await wait(bob, 'b1')
  t.match(await answers[3], /^queue full, retry after \d+ s$/, 'the last of who has most')
  await wait(bob, 'b2')
  t.match(await answers[2], /^queue full/)
  await t.rejects(bob!.ask('data', 'b3'), { message: /^queue full/ }, 'they have the same')
  await wait(cat, 'c1')
  t.match(await answers[1], /^queue full/)
  await cluster.add()
  const rest = await Promise.all([0, 4, 5, 6].map(i => answers[i]))
  t.same(rest, ['0:a1\n', '0:b1\n', '0:b2\n', '0:c1\n'])
})

t.test('nobody is there: a prompt waits, and then says for how long it did', async t => {
  const cluster = await rig(t, [])
  const [root, ann] = [await cluster.as('root'), await cluster.as('ann')]
  await root.write('ctl', 'queue ttl 0.2 max 2')
  await t.rejects(ann.ask('data', 'hello'), { message: /^waited 0.2 s for a worker; retry after \d+ s$/, errno: 110 })
  await root.write('ctl', 'queue ttl 60')
  const waiting = [ann.ask('data', 'one'), ann.ask('data', 'two')]
  await until(async () => (await ann.names('task')).length === 3)
  await t.rejects(ann.ask('data', 'three'), { message: /^queue full, retry after \d+ s$/, errno: 16 })
  await cluster.add()
  t.same(await Promise.all(waiting), ['0:one\n', '0:two\n'], 'who waited is answered when one comes')
})

t.test('cancelled by rmdir or by ctl, an answer ends on its worker, too', async t => {
  const cluster = await rig(t, [{ rate: 20, slots: 2 }])
  const ann = await cluster.as('ann')
  const active = async () => /active=(\d+)/.exec(await ann.read('worker-0001/status'))![1]
  for (const cancel of [
    (id: string) => ann.write(`task/${id}/ctl`, 'cancel'),
    async (id: string) => (await ann.root.walk(['task', id])).remove(),
  ]) {
    const answer = ann.ask('data', 'a b x1000')
    answer.catch(() => undefined)
    await until(async () => (await active()) === '1')
    const [id] = (await ann.names('task')).slice(-1)
    await cancel(id!)
    await t.rejects(answer, { message: 'cancelled' })
    await until(async () => (await active()) === '0')
  }
})

t.test('a drained worker gets nothing more and loses nothing; one after another they can all be replaced', async t => {
  const cluster = await rig(t, [{ rate: 50 }, { rate: 50 }])
  const [root, ann] = [await cluster.as('root'), await cluster.as('ann')]
  const answers = Array.from({ length: 4 }, (_, i) => ann.ask('data', `p${i} x60`))
  await until(
    async () =>
      (await cluster.status()).filter(({ word, attrs }) => word === 'worker' && attrs.state === 'busy').length === 2,
  )
  await root.write('ctl', 'drain worker-0001')
  t.match((await cluster.status()).find(({ attrs }) => attrs.name === 'worker-0001')!.attrs, { state: 'draining' })
  // it is not waited for: what it was doing moves
  await cluster.members[0]!.kill()
  await cluster.members[0]!.start()
  for (const [i, answer] of answers.entries())
    t.equal(await answer, `${Array.from({ length: 60 }, (_, n) => `${n}:p${i}`).join(' ')}\n`)
  await cluster.ready()
  t.same(
    (await root.names('')).filter(name => name.startsWith('worker-')).sort(),
    ['worker-0001', 'worker-0002'],
    'under the name it had',
  )
})

t.test('a model that nobody has loaded is loaded where that disturbs least, and who asked waits', async t => {
  const cluster = await rig(t, [
    { models: ['red', 'blue'], load_ms: 500, rate: 20 },
    { models: ['red', 'blue'], load_ms: 500, rate: 20 },
  ])
  const ann = await cluster.as('ann')
  const busy = ann.events('generate', { ...say('a b x40') })
  let on: string | undefined
  await until(async () => {
    on = (await cluster.status()).find(({ word, attrs }) => word === 'worker' && attrs.active === '1')?.attrs.name
    return on !== undefined
  })
  const asked = ann.events('generate', { ...say('hello'), model: 'blue' })
  await until(async () =>
    (await cluster.status()).some(({ word, attrs }) => word === 'worker' && attrs.loading === 'blue'),
  )
  const events = await asked
  t.match(
    events.find(({ event }) => event === 'start'),
    { model: 'blue' },
  )
  t.not(events.find(({ event }) => event === 'start')!.worker, on, 'never on one that is generating')
  t.equal(ids(await busy).length, 40)
  const models = (await cluster.status()).filter(({ word }) => word === 'model')
  t.same(
    models.map(({ attrs }) => `${attrs.name} ${attrs.workers}`),
    ['red 1', 'blue 1'],
  )
})

t.test('a model that is named is loaded also where none is: only who names none is told to load one', async t => {
  const cluster = await rig(t, [])
  await cluster.add({ models: ['red'], load: false })
  await until(async () => (await cluster.status()).some(({ word }) => word === 'worker'))
  const ann = await cluster.as('ann')
  await t.rejects(ann.ask('data', 'hello'), { message: /^no model is loaded: write 'load MODEL' to ctl/ })
  t.equal(text(await ann.events('generate', { ...say('hello'), model: 'red' })), '0:hello')
  t.equal(await ann.ask('data', 'hello'), '0:hello\n')
})

t.test('load at the root is for all who have the file, or for the one that is named', async t => {
  const cluster = await rig(t, [{ models: ['red', 'blue'] }, { models: ['red', 'blue'] }, { models: ['red'] }])
  const root = await cluster.as('root')
  const loaded = async () =>
    (await cluster.status()).filter(({ word }) => word === 'worker').map(({ attrs }) => attrs.model)
  await root.write('ctl', 'load blue worker-0002')
  t.same(await loaded(), ['red', 'blue', 'red'])
  await root.write('ctl', 'load blue')
  t.same(await loaded(), ['blue', 'blue', 'red'])
  await t.rejects(root.write('ctl', 'load blue worker-0009'), {
    message: /^bad argument: worker worker-0009: there are worker-0001/,
  })
  await t.rejects(root.write('ctl', 'load green'), { message: /file does not exist: model green/ })
  await t.rejects(root.write('ctl', 'unload red worker-0001'), { message: 'no model is loaded: worker-0001 has blue' })
  t.same(await loaded(), ['blue', 'blue', 'red'], 'another than was named stays')
  await cluster.ready()
})

t.test('different files of one name are marked, and not loaded', async t => {
  const cluster = await rig(t, [
    { models: ['red'] },
    { models: ['red'], engine: (_, engine) => ({ ...engine, model: { ...engine.model, digest: 'sha256:other' } }) },
  ])
  const root = await cluster.as('root')
  t.match((await cluster.status()).find(({ word }) => word === 'model')!.attrs, { name: 'red', conflict: 'yes' })
  await t.rejects(root.write('ctl', 'load red'), { message: /different files of that name/ })
})

t.test('a cluster joins a cluster as one worker, two deep, and a ring is refused', async t => {
  const [top, middle, bottom] = [await rig(t, []), await rig(t, []), await rig(t, [{ rate: 50 }, { rate: 50 }])]
  joins(bottom, middle)
  joins(middle, top)
  await middle.ready(1)
  await top.ready(1)
  const ann = await top.as('ann')
  const [server] = await top.status()
  t.equal(server!.attrs.clusters!.split(',').length, 3, 'who is below is known above')
  t.equal(await ann.ask('data', 'red green'), '0:red 1:green\n')
  t.match(await ann.read('worker-0001/worker-0001/worker-0002/status'), /^server name=worker-0002 kind=worker/)

  const models = await (await top.as('root')).root.walk(['models'])
  await t.rejects(models.create('x.gguf', 0o644, OWRITE), {
    message: /no worker is on this machine; write to worker-0001/,
  })

  const answer = ann.events('generate', say('a b x40'))
  const root = await bottom.as('root')
  await until(async () => /active=1/.test(await root.read('status')))
  const on = (await bottom.status()).find(({ word, attrs }) => word === 'worker' && attrs.active === '1')!.attrs.name!
  await bottom.members[Number(on.slice(-1)) - 1]!.kill()
  t.same(
    ids(await answer),
    Array.from({ length: 40 }, (_, i) => i),
    'a death at the bottom is not noticed at the top',
  )

  const long = ann.ask('data', 'a b x1000')
  long.catch(() => undefined)
  await until(async () => /active=1/.test(await root.read('status')))
  const [id] = (await ann.names('task')).slice(-1)
  await ann.write(`task/${id}/ctl`, 'cancel')
  await t.rejects(long, { message: 'cancelled' })
  await until(async () => /active=0/.test(await root.read('status')))

  await joins(top, bottom).closed
  t.match(await root.read('error'), /^$/)
  const events = await bottom.as('root')
  const fid = await events.open('events', 0)
  t.match(Buffer.from(await fid.read(0, 65536)).toString(), /kind=join-refused .*that would be a ring/)
  const via = [{ cluster: bottom.cluster.id, task: '1', attempt: 1 }]
  t.match((await root.events('generate', { ...say('x'), via })).at(-1), { error: /through here as task 1: a ring/ })
})

t.test(
  'one that hangs in a cluster below is found there: the cluster above does not take all of that for hung',
  async t => {
    const clock = new TestClock()
    let hangs = true
    const engine = (_: string, echo: Engine): Engine => ({
      ...echo,
      async *generate(request, signal) {
        for await (const chunk of echo.generate(request, signal)) {
          yield chunk
          if (chunk.event !== 'token' || request.messages?.[0]?.content === 'ping' || !hangs) continue
          hangs = false
          await new Promise(() => undefined)
        }
      },
    })
    const [top, below] = [await rig(t, [], { clock }), await rig(t, [{ engine }, { engine }], { clock })]
    joins(below, top)
    await top.ready(1)
    const ann = await top.as('ann')
    let answer = ''
    void ann.ask('data', 'a b x4').then(text => {
      answer = text
    })
    await until(() => !hangs)
    await until(async () => {
      await clock.pass(500)
      // heartbeats are answered meanwhile
      await below.status()
      await top.status()
      return answer !== ''
    })
    t.equal(answer, '0:a 1:b 2:a 3:b\n')
    t.equal((await events(below, 'worker-hung')).length, 1)
    t.same(await events(top, 'worker-hung'), [])
  },
)

t.test('a content that ended two workers by their own hand is refused, others of that moment are not', async t => {
  const cluster = await rig(t, [{ rate: 20 }, { rate: 20 }])
  const [root, ann] = [await cluster.as('root'), await cluster.as('ann')]
  await root.write('ctl', 'retry tries 5 resumes 5')
  const { default: host } = await import('./host.js')
  const died = await host(cluster)
  const answer = ann.ask('data', 'poison x200')
  answer.catch(() => undefined)
  for (let i = 0; i < 2; i++) {
    let on = ''
    await until(async () => {
      on =
        (await cluster.status()).find(({ word, attrs }) => word === 'worker' && attrs.active === '1')?.attrs.name ?? ''
      return on !== ''
    })
    const member = cluster.members[Number(on.slice(-1)) - 1]!
    const boot = /boot=(\S+)/.exec(await ann.read(`${on}/status`))![1]!
    await member.kill()
    died(boot, 'SIGSEGV')
    if (i === 0) await member.start()
  }
  await t.rejects(answer, { message: 'request ended 2 workers' })
  await t.rejects(ann.ask('data', 'poison x200'), { message: 'request ended 2 workers' }, 'it is given to no other')
  for (const member of cluster.members) await member.start().catch(() => undefined)
  t.equal(await ann.ask('data', 'bread'), '0:bread\n')
  t.equal(text(await ann.events('generate', say('bread'))), '0:bread')
})

/** The events of that kind so far. */
async function events(cluster: Rig, kind: string): Promise<Record<string, string>[]> {
  const fid = await (await cluster.as('root')).open('events', 0)
  const records = parseRecords(Buffer.from(await fid.read(0, 65536)).toString())
  return records.map(({ attrs }) => attrs).filter(attrs => attrs.kind === kind)
}

t.test('who joins and then hangs is not let in, and hung up on', async t => {
  const clock = new TestClock()
  const cluster = await rig(t, [], { clock })
  const member = new Member(cluster.cluster, {}, 'id-1')
  t.teardown(() => member.worker.close())
  const join = member.join.bind(member)
  let asked = false
  // it answers who it is, and not what it is told
  member.join = () => {
    const { walk } = member.worker.root
    member.worker.root.walk = (name, ctx) => {
      if (name !== 'ctl') return walk!(name, ctx)
      asked = true
      return new Promise(() => undefined)
    }
    join()
  }
  await member.start()
  await until(() => asked)
  let closed = false
  void member.session!.closed.then(() => {
    closed = true
  })
  await until(async () => {
    await clock.pass(1000)
    return closed
  })
  t.match(await events(cluster, 'join-refused'), [{ type: 'worker', error: /no Rflush within 10 s|interrupted/ }])
  await member.session!.closed
  t.same(
    (await cluster.status()).filter(({ word }) => word === 'worker'),
    [],
  )
})

t.test(
  'a worker that comes back again and again gets nothing for a while, unless it is the last of its model',
  async t => {
    const clock = new TestClock()
    const cluster = await rig(t, [{}, {}], { clock })
    const [flapping, other] = cluster.members as [Member, Member]
    for (let i = 0; i < 3; i++) {
      flapping.cut()
      await until(async () => (await cluster.status()).filter(({ word }) => word === 'worker').length === 1)
      flapping.join()
      await cluster.ready()
    }
    t.match(await events(cluster, 'worker-aside'), [
      { worker: 'worker-0001', seconds: '30', error: 'it came 4 times within a minute' },
    ])
    const ann = await cluster.as('ann')
    await (await cluster.as('root')).write('ctl', 'strategy round-robin')
    const by = async (prompt: string) =>
      (await ann.events('generate', say(prompt))).find(({ worker }) => worker)!.worker
    for (const prompt of ['a', 'b', 'c']) t.equal(await by(prompt), 'worker-0002')
    other.cut()
    await until(async () => (await cluster.status()).filter(({ word }) => word === 'worker').length === 1)
    t.equal(await by('d'), 'worker-0001', 'the last')
    other.join()
    await cluster.ready()
    t.equal(await by('e'), 'worker-0002')
    await clock.pass(30_000)
    await cluster.ready()
    t.same(new Set([await by('f'), await by('g')]), new Set(['worker-0001', 'worker-0002']), 'its time is over')
  },
)

t.test('a worker on which answers break off again and again is set aside, and no answer fails', async t => {
  let broken = 0
  const breaks = (_: string, engine: Engine): Engine => ({
    ...engine,
    async *generate(request, signal) {
      for await (const chunk of engine.generate(request, signal)) {
        yield chunk
        if (chunk.event !== 'token' || request.messages?.[0]?.content === 'ping') continue
        broken++
        throw new Error('broken')
      }
    },
  })
  const cluster = await rig(t, [{ engine: breaks }, {}])
  const ann = await cluster.as('ann')
  await (await cluster.as('root')).write('ctl', 'strategy round-robin')
  const prompts = Array.from({ length: 12 }, (_, i) => `a${i} b c`)
  for (const prompt of prompts) t.equal(await ann.ask('data', prompt), `0:${prompt.split(' ')[0]} 1:b 2:c\n`)
  t.equal(broken, 3)
  t.match(await events(cluster, 'worker-aside'), [
    { worker: 'worker-0001', seconds: '30', error: '3 answers broke off in a row' },
  ])
})

t.test('a worker that takes no prompt, though it should, is asked how it is, and another answers', async t => {
  const cluster = await rig(t, [{}, {}])
  const root = await cluster.as('root')
  await root.write('worker-0001/ctl', 'unload')
  for (let i = 0; i < 4; i++) t.equal(await root.ask('data', `p${i}`), `0:p${i}\n`)
  await root.write('worker-0002/ctl', 'drain')
  await root.write('ctl', 'queue ttl 0.3')
  await t.rejects(root.ask('data', 'nobody'), { message: /^waited 0.3 s for a worker; retry after/ })
  await root.write('ctl', 'resume worker-0002')
  await cluster.ready(1)
  t.equal(await root.ask('data', 'again'), '0:again\n')
})

t.test('heartbeats are as often as ctl says, from when it says so', async t => {
  const cluster = await rig(t, [{}], { settings: { heartbeat_s: 60 } })
  const root = await cluster.as('root')
  const member = cluster.members[0]!
  // a worker whose connection swallows everything
  member.worker.root.walk = () => new Promise(() => undefined)
  await root.write('ctl', 'heartbeat 0.1')
  await until(async () => !(await root.names('')).includes('worker-0001'))
  const events = await root.open('events', 0)
  t.match(
    Buffer.from(await events.read(0, 65536)).toString(),
    /kind=worker-suspect worker=worker-0001 missed=2[\s\S]*kind=worker-left worker=worker-0001 .*5 heartbeats/,
  )
})

t.test('how far a long prompt is read is told on the way, by hundredths, and counts as a sign of life', async t => {
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
