/** Tests of the engine `echo`. */
import t from 'tap'
import { createEchoEngine } from '../../../cluster/worker/engine/echo.js'
import type { Engine } from '../../../cluster/worker/engine/engine.js'
import { collect, request } from './common.js'

const ask = (engine: Engine, content: string, changes = {}, signal?: AbortSignal) =>
  collect(engine, request({ messages: [{ role: 'user', content }], ...changes }), signal)

t.test('echo repeats the words of the last user message, numbered, with the numbers as ids', async t => {
  const out = await ask(createEchoEngine({}), 'red green')
  t.equal(out.text, '0:red 1:green')
  t.same(out.ids, [0, 1])
  t.match(out, { reason: 'stop', completion_tokens: 2, prompt_tokens: 2, reused: 0 })
})

t.test('a last word xN asks for N tokens', async t => {
  const engine = createEchoEngine({})
  t.equal((await ask(engine, 'red green x3')).text, '0:red 1:green 2:red')
  t.equal((await ask(engine, 'x3')).text, '0:x3')
  t.match(await ask(engine, 'a x5000', { max_tokens: 1000 }), { reason: 'length', completion_tokens: 1000 })
})

t.test('an answer continues from any of its ids', async t => {
  const engine = createEchoEngine({})
  const whole = await ask(engine, 'red green blue x7', { stop: ['6:'] })
  t.equal(whole.text, '0:red 1:green 2:blue 3:red 4:green 5:blue ')
  for (let n = 0; n <= whole.ids.length; n++) {
    const rest = await ask(engine, 'red green blue x7', { stop: ['6:'], prefix_ids: whole.ids.slice(0, n) })
    const given = whole.chunks
      .slice(0, n)
      .map(c => c.text)
      .join('')
    t.equal(given + rest.text, whole.text)
    t.same(rest.ids, whole.ids.slice(n))
    t.equal(rest.completion_tokens, whole.completion_tokens)
  }
  await t.rejects(ask(engine, 'red', { prefix_ids: [1] }), { message: /^bad argument: prefix_ids/ })
})

t.test('rate and first_token_ms are respected', async t => {
  const begin = performance.now()
  const engine = createEchoEngine({ rate: 100, first_token_ms: 100 })
  const out = await ask(engine, 'a x21')
  const took = performance.now() - begin
  t.equal(out.completion_tokens, 21)
  t.ok(took > 290 && took < 3000, `100 ms and 20 tokens at 100 a second took ${took} ms`)
})

t.test('more generations than slots wait in order', async t => {
  const engine = createEchoEngine({ slots: 2, rate: 200 })
  const order: string[] = []
  const names = ['a', 'b', 'c', 'd', 'e', 'f']
  await Promise.all(
    names.map(async name => {
      const out = await ask(engine, `${name} x4`)
      t.equal(out.text, [0, 1, 2, 3].map(i => `${i}:${name}`).join(' '))
      order.push(name)
    }),
  )
  t.same(order.slice(0, 2).sort(), ['a', 'b'])
  t.same(order.slice(2, 4).sort(), ['c', 'd'])
})

t.test('200 simultaneous requests each get their own answer', async t => {
  const engine = createEchoEngine({ slots: 16 })
  const out = await Promise.all(Array.from({ length: 200 }, (_, i) => ask(engine, `client${i} x50`)))
  t.ok(out.every((o, i) => o.text === Array.from({ length: 50 }, (_, k) => `${k}:client${i}`).join(' ')))
})

t.test('an abort ends a running or waiting generation with its reason, and frees its place', async t => {
  const engine = createEchoEngine({ slots: 1, rate: 20 })
  const reason = new Error('enough')
  const running = new AbortController()
  const waiting = new AbortController()
  const first = ask(engine, 'a x1000', {}, running.signal)
  const second = ask(engine, 'b x1000', {}, waiting.signal)
  const third = ask(engine, 'c')
  setTimeout(() => waiting.abort(reason), 20)
  await t.rejects(second, reason)
  running.abort(reason)
  await t.rejects(first, reason)
  t.equal((await third).text, '0:c')
})

t.test('a reader that leaves, or is asleep during an abort, frees its slot', async t => {
  const engine = createEchoEngine({ slots: 1, first_token_ms: 10 })
  for await (const chunk of engine.generate(request({ prompt: 'a x1000' }), AbortSignal.timeout(5000))) {
    if (chunk.event === 'token') break
  }
  const stop = new AbortController()
  const sleeper = engine.generate(request({ prompt: 'b x1000' }), stop.signal)[Symbol.asyncIterator]()
  await sleeper.next()
  const next = ask(engine, 'c')
  stop.abort(new Error('enough'))
  t.equal((await next).text, '0:c')
  await t.rejects(sleeper.next(), { message: 'enough' })

  const early = engine.generate(request({ prompt: 'd' }), AbortSignal.timeout(5000))[Symbol.asyncIterator]()
  const pending = t.rejects(
    early.next().then(() => early.next()),
    { message: 'cancelled' },
  )
  await new Promise(resolve => setImmediate(resolve))
  await early.return?.()
  await pending
})

t.test('close ends all generations with shutting down and refuses new ones', async t => {
  const engine = createEchoEngine({ slots: 1, rate: 1 })
  const running = t.rejects(ask(engine, 'a x9'), { message: 'shutting down' })
  const waiting = t.rejects(ask(engine, 'b x9'), { message: 'shutting down' })
  await new Promise(resolve => setImmediate(resolve))
  await engine.close()
  await running
  await waiting
  await t.rejects(ask(engine, 'c'), { message: 'shutting down' })
})

t.test('requests that echo cannot serve are refused with the reason', async t => {
  const engine = createEchoEngine({ context: 8 })
  await t.rejects(ask(engine, 'a', { schema: {} }), { message: /^operation not supported: schema/ })
  await t.rejects(ask(engine, 'a', { tools: [{ name: 'x' }] }), { message: /^operation not supported: tools/ })
  await t.rejects(ask(engine, 'a b c d e f g h'), { message: /^context full: prompt 8 tokens, context 8; shorten it/ })
  t.match(await ask(engine, 'a b c d x9'), { completion_tokens: 3, reason: 'length' })
})

t.test('embed gives the same vector of length 1 for the same text', async t => {
  const engine = createEchoEngine({})
  const [a, b, c] = await engine.embed(['red green', 'Red  green', 'blue'], AbortSignal.timeout(1000))
  t.same(a, b)
  t.notSame(a, c)
  t.ok(Math.abs(Math.hypot(...a!) - 1) < 1e-6)
})
