/** Loading models in a cluster: for requests, by command, and again after a restart. */
import t from 'tap'
import { LOAD_MS } from '../../../cluster/orchestrator/limits.js'
import { newSecret } from '../../../cluster/secret.js'
import { ctl } from '../../../fs/kit/ctl.js'
import { dir } from '../../../fs/kit/dir.js'
import { OWRITE } from '../../../fs/wire/protocol.js'
import { TestClock } from '../clock.js'
import { events, ids, memoryStore, type Rig, rig, say, text, until } from './fixture.js'
import { rogue } from './rogue.js'

t.test('a model that no worker has loaded is loaded on an idle worker, and the request waits', async t => {
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
  t.not(events.find(({ event }) => event === 'start')!.worker, on, 'a worker that is generating is never taken')
  t.equal(ids(await busy).length, 40)
  const models = (await cluster.status()).filter(({ word }) => word === 'model')
  t.same(
    models.map(({ attrs }) => `${attrs.name} ${attrs.workers}`),
    ['red 1', 'blue 1'],
  )
})

t.test('with no model loaded, a request that names one loads it, and one that names none is refused', async t => {
  const cluster = await rig(t, [])
  await cluster.add({ models: ['red'], load: false })
  await until(async () => (await cluster.status()).some(({ word }) => word === 'worker'))
  const ann = await cluster.as('ann')
  await t.rejects(ann.ask('data', 'hello'), { message: /^no model is loaded: write 'load MODEL' to ctl/ })
  t.equal(text(await ann.events('generate', { ...say('hello'), model: 'red' })), '0:hello')
  t.equal(await ann.ask('data', 'hello'), '0:hello\n')
})

t.test('load at the root is for all workers that have the file, or for the one that is named', async t => {
  const cluster = await rig(t, [{ models: ['red', 'blue'] }, { models: ['red', 'blue'] }, { models: ['red'] }])
  const root = await cluster.as('root')
  const loaded = async () =>
    (await cluster.status()).filter(({ word }) => word === 'worker').map(({ attrs }) => attrs.model)
  await root.write('ctl', 'load blue worker-0002')
  t.same(await loaded(), ['red', 'blue', 'red'])
  await root.write('ctl', 'load blue')
  t.same(await loaded(), ['blue', 'blue', 'red'])
  await t.rejects(root.write('ctl', 'load blue worker-0009'), {
    message: /^bad argument: no worker "worker-0009"; workers: worker-0001/,
  })
  await t.rejects(root.write('ctl', 'load green'), { message: /file does not exist: model green/ })
  await t.rejects(root.write('ctl', 'unload red worker-0001'), { message: 'no model is loaded: worker-0001 has blue' })
  t.same(await loaded(), ['blue', 'blue', 'red'], 'unload of a model that the worker does not have changes nothing')
  await cluster.ready()
})

t.test('different files of one name are marked as a conflict, and not loaded', async t => {
  const cluster = await rig(t, [
    { models: ['red'] },
    { models: ['red'], engine: (_, engine) => ({ ...engine, model: { ...engine.model, digest: 'sha256:other' } }) },
  ])
  const root = await cluster.as('root')
  t.match((await cluster.status()).find(({ word }) => word === 'model')!.attrs, { name: 'red', conflict: 'yes' })
  await t.rejects(root.write('ctl', 'load red'), { message: /different files of that name/ })
})

t.test('files of one name that are not loaded conflict if their sizes differ between machines', async t => {
  const cluster = await rig(t, [
    { models: ['red', 'blue'], host: 'alpha', size: 10 },
    { models: ['red', 'blue'], host: 'alpha', size: 10 },
    { models: ['red', 'green'], host: 'beta', size: 20 },
  ])
  const root = await cluster.as('root')
  const conflicts = async () =>
    (await cluster.status())
      .filter(({ word, attrs }) => word === 'model' && attrs.conflict === 'yes')
      .map(({ attrs }) => attrs.name)
  t.same(await conflicts(), [], 'a loaded model may be older than the file')
  await cluster.add({ models: ['red', 'blue'], host: 'beta', size: 20 })
  await until(async () => (await conflicts()).length > 0)
  t.same(await conflicts(), ['blue'])
  await t.rejects(root.write('ctl', 'load blue'), {
    message: /^bad argument: load blue: .*different files of that name/,
  })
})

const held = async (cluster: Rig) =>
  (await cluster.status()).filter(({ word }) => word === 'worker').map(({ attrs }) => `${attrs.name} ${attrs.model}`)

t.test(
  'a worker that is killed and started again holds the model it was told to load, not the one it starts with',
  async t => {
    const models = ['red', 'blue', 'green']
    const cluster = await rig(t, [{ models }, { models }, { models }])
    const root = await cluster.as('root')
    await root.write('ctl', 'load blue')
    await root.write('ctl', 'load green worker-0003')
    for (const member of cluster.members) {
      await member.kill()
      await member.start()
    }
    const wanted = ['worker-0001 blue', 'worker-0002 blue', 'worker-0003 green']
    await until(async () => JSON.stringify(await held(cluster)) === JSON.stringify(wanted))
    t.match(await root.read('ctl'), /\nload blue\nload green worker-0003\n/)

    // a new worker gets the model of the others
    await cluster.add({ models })
    await until(async () => (await held(cluster)).at(-1) === 'worker-0004 blue')
  },
)

t.test('the next server loads what was loaded, unless it is started with a model', async t => {
  const models = ['red', 'blue', 'green']
  const store = memoryStore()
  const first = await rig(t, [{ models }, { models }], { store })
  const root = await first.as('root')
  await root.write('ctl', 'load blue')
  await root.write('ctl', 'load green worker-0002')
  await first.cluster.close()

  const second = await rig(t, [{ models }, { models }], { store })
  await until(async () => `${await held(second)}` === 'worker-0001 blue,worker-0002 green')
  await second.cluster.close()

  const third = await rig(t, [{ models }, { models }], { store, newModel: true })
  await until(async () => `${await held(third)}` === 'worker-0001 red,worker-0002 green')
  t.notMatch(await (await third.as('root')).read('ctl'), /load blue/)
})

t.test("a worker's host is told what the worker's next process should load first", async t => {
  const models = ['red', 'blue', 'green']
  const cluster = await rig(t, [{ models }, { models }], { settings: { heartbeat_s: 0.1 } })
  const { default: host } = await import('./host.js')
  const held: string[] = []
  await host(cluster, (id, model) => held.push(`${id} ${model}`))
  const root = await cluster.as('root')
  const told = async (command: string, ...what: string[]) => {
    held.length = 0
    await root.write('ctl', command)
    await until(() => held.length >= what.length)
    t.same([...held].sort(), what, command)
  }
  await told('load blue', 'id-1 blue', 'id-2 blue')
  await told('load green worker-0002', 'id-2 green')
  // the model of the class
  await told('load red', 'id-1 ', 'id-2 ')
  await told('unload red worker-0001', 'id-1 none')
})

t.test('a worker that is started again does not load a model that was unloaded', async t => {
  const cluster = await rig(t, [{ models: ['red', 'blue'] }])
  const root = await cluster.as('root')
  await root.write('ctl', 'unload red')
  await cluster.members[0]!.kill()
  await cluster.members[0]!.start()
  await until(async () => (await held(cluster))[0] === 'worker-0001 undefined')
})

t.test('a model that can no longer be loaded is named in events, and the worker serves the one it has', async t => {
  const cluster = await rig(t, [{ models: ['red', 'blue'] }])
  const [member] = cluster.members
  await (await cluster.as('root')).write('ctl', 'load blue')
  await member!.kill()
  Object.assign(member!.shape, { models: ['red'] })
  await member!.start()
  await until(async () => (await events(cluster, 'not-restored')).length > 0)
  t.match(await events(cluster, 'not-restored'), [
    { worker: 'worker-0001', setting: 'load blue', error: 'file does not exist: model blue' },
  ])
  t.equal(await (await cluster.as('ann')).ask('data', 'hello'), '0:hello\n')
})

t.test('of several commands about a worker the last one applies, whichever ends last', async t => {
  const files = new Map<string, string>()
  const models = ['red', 'blue', 'green']
  const cluster = await rig(t, [], { store: memoryStore(files) })
  for (let i = 0; i < 3; i++) await cluster.add({ models, load_ms: 150 })
  await cluster.ready()
  const root = await cluster.as('root')
  const all = root.write('ctl', 'load blue')
  await until(async () =>
    (await cluster.status()).some(({ word, attrs }) => word === 'worker' && attrs.loading === 'blue'),
  )
  // the command for all has not reached the third worker yet, or reaches it during this one
  await root.write('ctl', 'load green worker-0003')
  await all
  t.same(await held(cluster), ['worker-0001 blue', 'worker-0002 blue', 'worker-0003 green'])
  t.equal(files.get('ctl'), 'load blue\nload green worker-0003')

  const first = root.write('ctl', 'load red worker-0001')
  const second = root.write('ctl', 'load green worker-0001')
  await Promise.all([first, second])
  t.equal((await held(cluster))[0], 'worker-0001 green')
})

t.test('a command about a worker waits for the load that an earlier server wanted, and then applies', async t => {
  const models = ['red', 'blue', 'green']
  const store = () => memoryStore(new Map(Object.entries({ id: 'abc\n', ctl: 'load blue worker-0001' })))
  for (const [command, holds, ctl] of [
    ['load green worker-0001', 'worker-0001 green', /^load green worker-0001$/m],
    ['unload blue worker-0001', 'worker-0001 undefined', /^unload blue worker-0001$/m],
  ] as const) {
    const cluster = await rig(t, [], { store: store() })
    await cluster.add({ models, load_ms: 150 })
    const root = await cluster.as('root')
    await until(async () =>
      (await cluster.status()).some(({ word, attrs }) => word === 'worker' && attrs.loading === 'blue'),
    )
    await root.write('ctl', command)
    t.same(await held(cluster), [holds])
    t.match(await root.read('ctl'), ctl)
  }
})

t.test("a load that fails is in the cluster's events once, also if the worker began it by itself", async t => {
  const cluster = await rig(t, [{ models: ['red'] }])
  const root = await cluster.as('root')
  await t.rejects(root.write('ctl', 'load green worker-0001'))
  const told = { worker: 'worker-0001', model: 'green', error: 'file does not exist: model green' }
  t.match(await events(cluster, 'load-failed'), [told])
  // a load that the worker begins by itself, and that leaves it without a model
  const member = await cluster.add({ models: ['red'], load: false, load_ms: 50 })
  await until(async () => (await cluster.status()).filter(({ word }) => word === 'worker').length === 2)
  await t.rejects(member.worker.load('blue'))
  await until(async () => (await events(cluster, 'load-failed')).length > 1)
  await root.write('ctl', 'heartbeat 0.1')
  const again = (await events(cluster, 'load-failed')).length
  t.match((await events(cluster, 'load-failed')).at(-1), { worker: 'worker-0002', error: /model blue/ })
  t.equal(again, 2)
})

t.test(
  'a prompt that names no model gets the one that was loaded for the whole cluster, whatever requests have loaded',
  async t => {
    const models = ['red', 'blue']
    const cluster = await rig(t, [{ models }, { models }])
    const root = await cluster.as('root')
    await root.write('ctl', 'load blue')
    const ann = await cluster.as('ann')
    const model = async (request: object) =>
      (await ann.events('generate', { ...say('hello'), ...request })).find(({ event }) => event === 'start')!.model
    t.equal(await model({ model: 'red' }), 'red')
    for (let i = 0; i < 6; i++) t.equal(await model({}), 'blue')
    t.match((await cluster.status())[0]!.attrs, { model: 'blue' })

    // also if every worker was given another model: then one loads it again
    await Promise.all([model({ model: 'red' }), model({ model: 'red' })])
    await root.write('ctl', 'load red worker-0001')
    t.equal(await model({}), 'blue')
  },
)

t.test('a model whose load crashed a worker is not loaded for requests until somebody loads it by name', async t => {
  const cluster = await rig(t, [
    { models: ['red', 'blue'], load_ms: 300 },
    { models: ['red', 'blue'], load_ms: 300 },
  ])
  const [root, ann] = [await cluster.as('root'), await cluster.as('ann')]
  const { default: host } = await import('./host.js')
  const died = await host(cluster)
  const loading = root.write('ctl', 'load blue worker-0001')
  loading.catch(() => undefined)
  const boot = /boot=(\S+)/.exec(await ann.read('worker-0001/status'))![1]!
  await until(async () => (await cluster.status()).some(({ attrs }) => attrs.loading === 'blue'))
  await cluster.members[0]!.kill()
  died(boot, 'SIGABRT')
  await t.rejects(loading)
  await until(async () => (await events(cluster, 'load-fatal')).length === 1)
  t.match((await ann.events('generate', { ...say('hello'), model: 'blue' })).at(-1), {
    event: 'error',
    error: "model file is damaged: a worker ended while it loaded blue; write 'load blue' to ctl to try again",
  })
  t.same(
    (await cluster.status()).filter(({ word }) => word === 'worker').map(({ attrs }) => attrs.model),
    ['red'],
    'the other worker keeps its model',
  )
  await root.write('ctl', 'load blue worker-0002')
  t.equal(text(await ann.events('generate', { ...say('hello'), model: 'blue' })), '0:hello')
})

t.test('a load on a worker that is loading another model waits for that', async t => {
  const models = ['red', 'blue', 'green']
  const store = memoryStore()
  const first = await rig(t, [{ models }], { store })
  await (await first.as('root')).write('ctl', 'load blue')
  await first.cluster.close()

  // the worker serves the model it starts with, while the one it held before is being loaded
  const second = await rig(t, [{ models, load_ms: 300 }], { store })
  const root = await second.as('root')
  await until(async () => (await second.status()).some(({ attrs }) => attrs.loading === 'blue'))
  await root.write('ctl', 'load green')
  t.same(await held(second), ['worker-0001 green'])

  // a load also waits for one that the cluster did not ask for
  const own = root.write('worker-0001/ctl', 'load red')
  await until(async () => /loading=red/.test(await root.read('worker-0001/status')))
  await root.write('ctl', 'load blue')
  await own
  t.same(await held(second), ['worker-0001 blue'])
  t.same(await events(second, 'not-restored'), [])
})

t.test('a worker that never answers a load holds up the others until the time limit and no longer', async t => {
  const clock = new TestClock()
  const cluster = await rig(t, [], { clock })
  const verb = (done: () => unknown) => ({ usage: '', check: () => done })
  const verbs = { name: verb(() => undefined), load: verb(() => new Promise(() => undefined)) }
  const file = ctl({ owner: { name: 'root', uid: 0 }, verbs: verbs as never, read: () => '' })
  const after = 'model name=red type=text size=1 loaded=no\n'
  rogue(cluster, { id: 'rogue', secret: newSecret(), after, files: new Map([['ctl', file]]) })
  const workers = async () => (await cluster.status()).filter(({ word }) => word === 'worker').length
  await until(async () => (await workers()) === 1)
  await cluster.add({ models: ['red', 'blue'], load: false })
  await until(async () => (await workers()) === 2)
  const root = await cluster.as('root')
  await root.write('ctl', 'heartbeat 60')
  let ended = false
  const load = root.write('ctl', 'load red').then(() => {
    ended = true
  })
  await clock.pass(LOAD_MS / 2)
  t.notOk(ended)
  await clock.pass(LOAD_MS)
  await load
  t.match(await events(cluster, 'load-failed'), [
    { worker: 'worker-0001', error: /did not load red within 61 minutes/ },
  ])
})

t.test('a worker that only claims to be on the machine of a host gets no files copied to models/', async t => {
  const { default: host } = await import('./host.js')
  const cluster = await rig(t, [])
  await host(cluster)
  const create = async () => {
    throw new Error('it was given to the thief')
  }
  const owner = { name: 'root', uid: 0 }
  const files = new Map([['models', { ...dir(new Map(), owner, 0o777), create }]])
  const claims = [{ host: 'alpha', host_id: 'host-alpha' }, { host: 'alpha' }]
  for (const [n, attrs] of claims.entries()) rogue(cluster, { id: `thief-${n}`, secret: newSecret(), attrs, files })
  await until(async () => (await cluster.status()).filter(({ word }) => word === 'worker').length === 2)
  const models = await (await cluster.as('root')).root.walk(['models'])
  await t.rejects(models.create('x.gguf', 0o644, OWRITE), {
    message: /no worker is on this machine; write to worker-0001\//,
  })
})
