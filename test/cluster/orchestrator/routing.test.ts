/** How a cluster chooses the worker for a request. */

import fc from 'fast-check'
import t from 'tap'
import { plainRequest } from '../../../api/request.js'
import { Affinity } from '../../../cluster/orchestrator/dispatch/affinity.js'
import { Heap } from '../../../cluster/orchestrator/dispatch/heap.js'
import { Routing } from '../../../cluster/orchestrator/dispatch/routing.js'
import { MAX_ATTEMPTS } from '../../../cluster/orchestrator/limits.js'
import type { Member } from '../../../cluster/orchestrator/members/member.js'
import { MAX_ATTACHES, MAX_FIDS } from '../../../fs/base/limits.js'
import { rig, until } from './fixture.js'

const long = 'word '.repeat(100)

t.test('a joined cluster with more slots than its connection has fids gets no more exchanges than those', async t => {
  const routing = new Routing(Math.random, new Affinity(), () => true)
  const running = (size: number) => {
    const report = { slots: 10_000, models: [{ name: 'm', type: 'text', loaded: true }] }
    const member = { name: 'c', serving: true, model: report.models[0], active: size, running: size, report }
    routing.update(Object.assign(cluster, member))
    return routing.free
  }
  const cluster = {} as Member
  t.same([running(MAX_ATTEMPTS - 1), running(MAX_ATTEMPTS), running(0)], [true, false, true])
  t.ok(MAX_ATTEMPTS + MAX_ATTACHES < MAX_FIDS)
})

t.test('a request that must be alone goes to an idle worker, and the trace says that this was why', async t => {
  const routing = new Routing(Math.random, new Affinity(), () => true)
  const worker = (name: string, active: number) => {
    const report = { slots: 4, models: [{ name: 'm', type: 'text', loaded: true }], prefer: 0, mem_free: 0 }
    const state = { serving: true, model: report.models[0], load: active, active, running: active, report }
    routing.update({ id: name, name, lastUsed: 0, ...state } as unknown as Member)
  }
  routing.strategy = 'round-robin'
  worker('busy', 1)
  worker('idle', 0)
  const user = { name: 'ann', uid: 1000, role: 'use' as const }
  const task = { request: plainRequest([{ role: 'user', content: 'x' }]), session: undefined, user }
  const chosen = (o: { alone?: boolean; avoid?: string }) => {
    const { member, why } = routing.choose(task, o)!
    return [member.name, why]
  }
  t.same(chosen({}), ['busy', 'round-robin'])
  t.same(chosen({ alone: true }), ['idle', 'idle'])
  t.same(chosen({ alone: true, avoid: 'idle' }), ['busy', 'round-robin'], 'not to the one that it failed on')
})

t.test('the first item of a heap is the least, whatever is put in, moved and deleted', async () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(20), fc.nat(1000), fc.boolean())), steps => {
      const items = Array.from({ length: 21 }, (_, id) => ({ id, key: 0 }))
      const heap = new Heap<{ id: number; key: number }>((a, b) => a.key < b.key)
      const there = new Set<number>()
      for (const [id, key, out] of steps) {
        if (out) {
          heap.delete(items[id]!)
          there.delete(id)
        } else {
          items[id]!.key = key
          heap.put(items[id]!)
          there.add(id)
        }
        const least = Math.min(...[...there].map(id => items[id]!.key))
        if (heap.items.length !== there.size) throw new Error('size')
        if (there.size > 0 && heap.items[0]!.key !== least) throw new Error('least')
        for (const one of there) if (!heap.has(items[one]!)) throw new Error('has')
      }
    }),
  )
})

t.test('affinity finds the worker that has answered the longest prefix of a conversation', async t => {
  const affinity = new Affinity<string>()
  const user = (content: string) => ({ role: 'user' as const, content })
  affinity.note(plainRequest([user(long)]), undefined, 'yes', 'one')
  const more = plainRequest([user(long), { role: 'assistant', content: 'yes' }, user('and then?')])
  t.equal(affinity.find(more, undefined), 'one')
  affinity.note(more, undefined, 'no', 'two')
  t.equal(affinity.find(more, undefined), 'two', 'the newest answer counts')
  t.equal(affinity.find(plainRequest([user(`${long}x`)]), undefined), undefined, 'a different prefix is not found')
  affinity.note(plainRequest([user('short')]), undefined, 'x', 'one')
  t.equal(affinity.find(plainRequest([user('short')]), undefined), undefined, 'a short prefix is not remembered')
  affinity.note(plainRequest([user('short')]), '7', 'x', 'one')
  t.equal(affinity.find(plainRequest([user('other')]), '7'), 'one', 'a session is on the worker it was on')
  affinity.forget('one')
  t.equal(affinity.find(plainRequest([user('other')]), '7'), undefined)
})

/** Asks n prompts, one after another. @returns the workers that answered them */
async function chosen(ask: (i: number) => Promise<Record<string, unknown>[]>, n: number): Promise<string[]> {
  const out: string[] = []
  for (let i = 0; i < n; i++) out.push(String((await ask(i)).find(({ event }) => event === 'start')?.worker))
  return out
}

t.test('each strategy chooses as documented, and can be changed at any time', async t => {
  const cluster = await rig(t, [{}, {}, {}])
  const root = await cluster.as('root')
  const ask = (i: number) => root.events('generate', { messages: [{ role: 'user', content: `p${i}` }] })
  await root.write('ctl', 'strategy round-robin')
  const round = await chosen(ask, 6)
  t.same(round.slice(0, 3).sort(), ['worker-0001', 'worker-0002', 'worker-0003'], 'all workers, one after another')
  t.same(round.slice(3), round.slice(0, 3), 'and again in the same order')
  for (const strategy of ['least-loaded', 'random', 'specialise']) {
    await root.write('ctl', `strategy ${strategy}`)
    t.match(await root.read('ctl'), new RegExp(`^strategy ${strategy}$`, 'm'))
    for (const name of await chosen(ask, 4)) t.match(name, /^worker-000[123]$/)
  }
  await t.rejects(root.write('ctl', 'strategy fastest'), {
    message: 'bad argument: strategy: expected one of specialise least-loaded round-robin random, not "fastest"',
  })
  const [, routed] = (await root.read('task/1/trace')).split('\n')
  t.match(
    routed,
    /^routed ms=\d+ strategy=round-robin worker=worker-\d+ why=\S+ candidates=3 scores='worker-\d+:0\/2 .*' attempt=1$/,
  )
})

t.test('prompts that come at once are spread evenly over the workers', async t => {
  const cluster = await rig(t, [
    { rate: 20, slots: 4 },
    { rate: 20, slots: 4 },
  ])
  const ann = await cluster.as('ann')
  const tasks = Array.from({ length: 8 }, (_, i) =>
    ann.events('generate', { messages: [{ role: 'user', content: `p${i} x5` }] }),
  )
  const workers = (await Promise.all(tasks)).map(events => events.find(({ event }) => event === 'start')?.worker)
  t.equal(workers.filter(name => name === 'worker-0001').length, 4)
})

t.test('a prompt goes to the worker with its prefix in the cache, but not if that is too busy', async t => {
  const cluster = await rig(t, [
    { rate: 20, slots: 4 },
    { rate: 20, slots: 4 },
  ])
  const ann = await cluster.as('ann')
  const ask = (content: string) => ann.events('generate', { messages: [{ role: 'user', content }], max_tokens: 5 })
  const talk = [{ role: 'user', content: long }]
  const first = await ann.events('generate', { messages: talk, max_tokens: 2 })
  const text = first
    .filter(({ event }) => event === 'token')
    .map(({ text }) => text)
    .join('')
  const turn = [...talk, { role: 'assistant', content: text }, { role: 'user', content: 'more x2' }]
  const warm = first.find(({ event }) => event === 'start')!.worker
  const second = await ann.events('generate', { messages: turn })
  t.equal(second.find(({ event }) => event === 'start')!.worker, warm)
  const id = second.find(({ event }) => event === 'queued')!.task
  t.match(await ann.read(`task/${id}/trace`), / why=cache .*:warm/)

  // make the warm worker busier than the other by two
  const session = await ann.session()
  await ann.ask(`session/${session}/data`, `a ${long}`)
  const busy: Promise<unknown>[] = []
  const on = async () => (await cluster.status()).find(({ attrs }) => attrs.name === warm)!.attrs.active
  for (let i = 0; i < 2; i++)
    busy.push(ann.events('generate', { messages: [...turn, { role: 'user', content: `again ${i} x40` }] }))
  await until(async () => (await on()) === '2')
  const third = await ann.events('generate', { messages: turn })
  t.not(third.find(({ event }) => event === 'start')!.worker, warm, 'the other worker has two tasks fewer')
  await Promise.all(busy)
  t.ok(await ask('x'))
})

t.test('a request for a model or for a type goes to a worker that has it', async t => {
  const cluster = await rig(t, [{ models: ['red'] }, { models: ['green'] }, { models: ['red', 'blue'], type: 'code' }])
  const ann = await cluster.as('ann')
  for (const model of ['red', 'green', 'red', 'green']) {
    const events = await ann.events('generate', { messages: [{ role: 'user', content: 'hi' }], model })
    t.equal(events.find(({ event }) => event === 'start')!.model, model)
  }
  const hinted = await ann.events('generate', { messages: [{ role: 'user', content: 'hi' }], model_hint: 'green' })
  t.equal(hinted.find(({ event }) => event === 'start')!.model, 'green', 'a hint is followed if possible')
  const other = await ann.events('generate', {
    messages: [{ role: 'user', content: 'hi' }],
    model_hint: 'yellow',
    type: 'prose',
  })
  t.match(other.at(-1), { event: 'end' }, 'a hint is not a condition')
  for (let i = 0; i < 4; i++) {
    const code = await ann.events('generate', { messages: [{ role: 'user', content: `c${i}` }], type: 'code' })
    t.equal(code.find(({ event }) => event === 'start')!.worker, 'worker-0003', 'a worker of that type comes first')
  }
  const named = await ann.events('generate', {
    messages: [{ role: 'user', content: 'hi' }],
    model: 'green',
    type: 'code',
  })
  t.equal(named.find(({ event }) => event === 'start')!.model, 'green', 'a name takes precedence over a type')
  const none = await ann.events('generate', { messages: [{ role: 'user', content: 'hi' }], model: 'yellow' })
  t.match(none.at(-1), {
    event: 'error',
    error: 'no worker serves yellow; loaded: red, green; models/ lists what can be loaded',
  })
})
