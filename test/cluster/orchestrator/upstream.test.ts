/** Workers whose text comes from an upstream: refusals, pauses, failures and preferences. */
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { Engine } from '../../../cluster/worker/engine/engine.js'
import { createOpenAIEngine } from '../../../cluster/worker/engine/openai.js'
import { type Clock, systemClock } from '../../../fs/base/clock.js'
import { finish, piece, says, status, type Upstream, upstream } from '../engine/upstream.js'
import { events, rig, type Shape, say, text, until } from './fixture.js'

/** A worker whose text comes from an upstream. */
const of = (server: Upstream, shape: Shape = {}): Shape => ({
  models: ['m'],
  engine: (model: string): Engine => createOpenAIEngine({ url: server.url, model, slots: 2, key: 'k' }),
  ...shape,
})

/** A clock that runs twenty times as fast. */
const fast: Clock = {
  now: () => performance.now() * 20,
  date: () => Date.now(),
  after: (ms, call, idle) => systemClock.after(ms / 20, call, idle),
}

/**
 * Options for a cluster on that clock. In real time its heartbeats are as far apart as usual, so that a busy machine
 * loses no worker.
 */
const quick = { clock: fast, settings: { heartbeat_s: 40 } }

const workers = async (cluster: Awaited<ReturnType<typeof rig>>) =>
  (await cluster.status()).filter(({ word }) => word === 'worker').map(({ attrs }) => attrs)

t.test(
  'the upstream’s refusal goes to the user unchanged: no other worker is asked, and no failure is counted',
  async t => {
    const server = await upstream(t, status(400, 'maximum context length is 4096 tokens'))
    const cluster = await rig(t, [of(server), of(server), of(server)])
    t.equal(server.prompts.length, 0, 'no prompt was needed to find that the workers are ready')
    const ann = await cluster.as('ann')
    const words = /^the upstream refuses this: http:\S+: 400 maximum context length is 4096 tokens$/
    for (let i = 0; i < 4; i++) await t.rejects(ann.ask('data', `long ${i}`), { message: words, errno: 22 })
    t.equal(server.prompts.length, 4)
    t.match(await ann.read('error'), /maximum context length/)
    t.same(await events(cluster, 'worker-quarantined'), [])
    t.same(await events(cluster, 'attempt-failed'), [])
  },
)

t.test('a pause that an upstream asks for is respected, and another upstream is asked at once', async t => {
  const server = await upstream(t, says('at last'))
  server.next.push(status(429, 'Rate limit reached', { 'retry-after': '1' }))
  const cluster = await rig(t, [of(server)])
  const ann = await cluster.as('ann')
  t.equal(await ann.ask('data', 'hello'), 'at last\n')
  t.equal(server.prompts.length, 2)
  t.ok(server.prompts[1]!.at - server.prompts[0]!.at >= 990)
  t.match(await events(cluster, 'worker-paused'), [
    { worker: 'worker-0001', seconds: '1', error: /429 Rate limit reached/ },
  ])

  const other = await upstream(t, says('from the other'))
  await cluster.add(of(other))
  await cluster.ready()
  server.reply = status(429, 'Rate limit reached', { 'retry-after': '20' })
  const before = performance.now()
  for (let i = 0; i < 4; i++) t.equal(await ann.ask('data', `hello ${i}`), 'from the other\n')
  t.ok(performance.now() - before < 15_000, 'no prompt waited')
  t.same(await events(cluster, 'worker-quarantined'), [])
})

t.test('a pause that is longer than a prompt may wait fails it at once, with the words of the upstream', async t => {
  const server = await upstream(t, status(429, 'Quota exceeded', { 'retry-after': '3600' }))
  const cluster = await rig(t, [of(server)])
  const ann = await cluster.as('ann')
  const told = { message: /^the upstream asks to wait 3600 s: .*: 429 Quota exceeded$/, errno: 16 }
  await t.rejects(ann.ask('data', 'hello'), told)
  await t.rejects(ann.ask('data', 'again'), told)
  t.equal(server.prompts.length, 1)
})

t.test('a failed prompt is tried again after a while on the only upstream, and at once on another', async t => {
  const server = await upstream(t, says('well'))
  server.next.push(status(500, 'oops'))
  const cluster = await rig(t, [of(server)])
  const ann = await cluster.as('ann')
  t.equal(await ann.ask('data', 'hello'), 'well\n')
  t.ok(server.prompts[1]!.at - server.prompts[0]!.at >= 490)
  server.reply = status(500, 'oops')
  await t.rejects(ann.ask('data', 'hello'), { message: /^the upstream failed: .*: 500 oops$/, errno: 121 })
  t.match(await ann.read('error'), /500 oops/)

  const broken = await upstream(t, (_asked, response) => response.end(piece('half')))
  const two = await rig(t, [of(broken)])
  const bob = await two.as('bob')
  const lines = await bob.events('generate', say('hello'))
  t.equal(text(lines), 'half')
  t.match(lines.at(-1), { event: 'error', error: /^the upstream failed: .*: the answer broke off$/ })
})

t.test('a request with a preference gets another worker if the preferred upstream fails', async t => {
  const bad = await upstream(t, status(500, 'down'))
  const good = await upstream(t, says('good'))
  bad.models = ['coder']
  const named = (server: Upstream, model: string, type?: string) =>
    of(server, { models: [model], ...(type !== undefined && { type }) })
  const cluster = await rig(t, [named(bad, 'coder', 'code'), named(good, 'm')])
  const ann = await cluster.as('ann')
  t.equal(text(await ann.events('generate', { ...say('hi'), type: 'code' })), 'good')
  t.equal(text(await ann.events('generate', { ...say('hi'), model_hint: 'coder' })), 'good')
  t.equal(bad.prompts.length, 2, 'the preferred upstream is asked once for each')
})

t.test('plain prompts go to the worker with the highest prefer, and to the next one while it fails', async t => {
  const first = await upstream(t, says('first'))
  const second = await upstream(t, says('second'))
  first.models = ['a']
  second.models = ['b']
  const cluster = await rig(t, [
    of(second, { models: ['b'], prefer: 1 }),
    of(first, { models: ['a'], prefer: 2 }),
    { models: ['echo'] },
  ])
  const ann = await cluster.as('ann')
  for (let i = 0; i < 4; i++) t.equal(await ann.ask('data', `hello ${i}`), 'first\n')
  first.reply = status(502, 'bad gateway')
  for (let i = 0; i < 5; i++) t.equal(await ann.ask('data', `hello ${i}`), 'second\n')
  t.equal(first.prompts.length, 4 + 3, 'after three failures it is quarantined')
  second.reply = first.reply
  t.equal(await ann.ask('data', 'red green'), '0:red 1:green\n', 'a worker without prefer is last')
  t.match(await workers(cluster), [{ name: 'worker-0001' }, { name: 'worker-0002' }, { name: 'worker-0003' }])
})

t.test('after good answers an outage is forgotten: the next one costs no more than the first', async t => {
  const server = await upstream(t, says('well'))
  const other = await upstream(t, says('well'))
  const asides: string[] = []
  const log = (line: string) => / kind=worker-quarantined /.test(line) && asides.push(line)
  const cluster = await rig(t, [of(server, { prefer: 1 }), of(other)], { ...quick, log })
  const ann = await cluster.as('ann')
  for (let outage = 1; outage <= 2; outage++) {
    server.reply = status(500, 'down')
    while (asides.length < outage) t.equal(await ann.ask('data', 'hi'), 'well\n')
    server.reply = says('well')
    const before = server.prompts.length
    // a check finds that it is back, and it is preferred again
    while (server.prompts.length === before) t.equal(await ann.ask('data', 'hi'), 'well\n')
  }
  t.equal(asides.length, 2)
  for (const line of asides) t.match(line, / seconds=30 /)
})

t.test('a worker whose upstream thinks for long is not ended', async t => {
  const server = await upstream(t, says('quick'))
  server.next.push(async (_asked, response) => {
    response.write(': thinking\n\n')
    // forty seconds on the cluster's clock
    await sleep(2_000)
    response.end(`${piece('deep')}${finish()}`)
  })
  const cluster = await rig(t, [of(server)], quick)
  const ann = await cluster.as('ann')
  const thinking = ann.events('generate', say('think'))
  await until(() => server.prompts.length === 1)
  t.equal(await (await cluster.as('bob')).ask('data', 'hi'), 'quick\n')
  t.equal(text(await thinking), 'deep')
  t.same(await events(cluster, 'worker-hung'), [])
})

t.test('an upstream that is down shows as a failed worker with the reason, and works once it is back', async t => {
  const server = await upstream(t, says('here'))
  await server.stop()
  const cluster = await rig(t, [], quick)
  await cluster.add(of(server))
  await until(async () => (await workers(cluster))[0]?.state === 'failed')
  t.match(await workers(cluster), [
    { state: 'failed', error: /^the upstream failed: .*\/models: connection refused: is the server running there\?$/ },
  ])
  await t.rejects(cluster.cluster.ready({ model: true, workers: 1 }), { message: /connection refused/ })
  await server.start()
  await cluster.ready(1)
  t.equal(await (await cluster.as('ann')).ask('data', 'hi'), 'here\n')
  await server.stop()
  const ann = await cluster.as('ann')
  const away = { message: /^the upstream failed: .*connection refused/ }
  await t.rejects(ann.ask('data', 'gone'), away)
  await until(async () => (await workers(cluster))[0]?.state === 'failed')
  await t.rejects(ann.ask('data', 'again'), away, 'a prompt that comes meanwhile does not wait')
})

t.test('the error names a model that the upstream does not have', async t => {
  const server = await upstream(t, says('here'))
  server.models = ['x', 'y']
  const cluster = await rig(t, [])
  await cluster.add(of(server))
  await t.rejects(cluster.cluster.ready({ model: true, workers: 1 }), { message: /: no model m; models: x, y$/ })
  t.equal(server.prompts.length, 0)
})

t.test('with no worker a prompt is refused with the remedy, and with one it is answered', async t => {
  const cluster = await rig(t, [], quick)
  const ann = await cluster.as('ann')
  const none = { message: /^there is no worker: start one with: llamboctl spawn/, errno: 6 }
  await t.rejects(ann.ask('data', 'the first waits a moment'), none)
  await t.rejects(ann.ask('data', 'the next does not'), none)
  await cluster.add()
  await cluster.ready()
  t.equal(await ann.ask('data', 'hello'), '0:hello\n')
})
