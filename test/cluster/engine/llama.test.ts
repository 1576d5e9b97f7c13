/** Tests of the engine `llama` with the bundled model. */

import { readFile } from 'node:fs/promises'
import t from 'tap'
import type { ChatMessage } from '../../../api/request.js'
import type { Engine } from '../../../cluster/worker/engine/engine.js'
import { createLlamaEngine } from '../../../cluster/worker/engine/llama.js'
import { collect, request } from './common.js'

const path = 'models/llambo-tiny.gguf'
const load = (slots: number, context?: number) =>
  createLlamaEngine({
    path,
    slots,
    threads: 1,
    gpu: false,
    digest: Promise.resolve('sha256:test'),
    ...(context && { context }),
  })

/** One engine for the whole file: loading takes a second. */
const engine = await load(8)
t.teardown(() => engine.close())

const user = (content: string): ChatMessage => ({ role: 'user', content })
const ask = (content: string, changes = {}, signal?: AbortSignal, on: Engine = engine) =>
  collect(on, request({ messages: [user(content)], max_tokens: 220, ...changes }), signal)

interface Recorded {
  turns: string[]
  /** The system prompt. null: none. Absent: node-llama-cpp's own, below. */
  sys?: string | null
  answers: string[]
}
const recorded: Recorded[] = JSON.parse(await readFile('models/eval/heldout_results.json', 'utf8'))

/** The system prompt that LlamaChatSession uses if none is given. */
const system: ChatMessage = {
  role: 'system',
  content: `You are a helpful, respectful and honest assistant. Always answer as helpfully as possible.
If a question does not make any sense, or is not factually coherent, explain why instead of answering something incorrectly. If you don't know the answer to a question, don't share false information.`,
}

/**
 * Two tokens can be so close that the rounding of another CPU prefers the other one. More differences than this are not
 * due to rounding.
 */
const NEAR_TIES = 4

t.test('the greedy answers recorded with the model are reproduced', async t => {
  const differ: string[] = []
  for (const { turns, sys, answers } of recorded) {
    const messages: ChatMessage[] = sys === null ? [] : [sys === undefined ? system : { role: 'system', content: sys }]
    for (const [i, turn] of turns.entries()) {
      messages.push(user(turn))
      const out = await collect(engine, request({ messages: [...messages], max_tokens: 220 }))
      if (out.text !== answers[i]!.trimEnd()) differ.push(`${turn}\n  recorded ${answers[i]}\n  now      ${out.text}`)
      messages.push({ role: 'assistant', content: answers[i]! })
    }
  }
  t.comment(`${recorded.length} conversations, ${differ.length} answers differ (${NEAR_TIES} may, by near ties)`)
  for (const each of differ) t.comment(each)
  t.ok(differ.length <= NEAR_TIES, `${differ.length} answers differ from the recorded ones`)
})

const questions = [
  'What is AI?',
  'What is your name?',
  'What is 9P?',
  'What is 2 + 2?',
  'capital of Italy',
  'tell me a joke',
  'hello',
  'Explain how a neural network works, please',
]

t.test('eight simultaneous streams equal the same eight one after another', async t => {
  const one: string[] = []
  for (const question of questions) one.push((await ask(question)).text)
  t.equal(new Set(one).size, questions.length, 'eight different answers')
  const together = await Promise.all(questions.map(question => ask(question)))
  t.same(
    together.map(out => out.text),
    one,
  )
})

t.test('requests beyond the slots wait, and each gets its own answer', async t => {
  const small = await load(2)
  t.teardown(() => small.close())
  const one = await Promise.all(questions.map(question => ask(question)))
  const out = await Promise.all(questions.map(question => ask(question, {}, undefined, small)))
  t.same(
    out.map(o => o.text),
    one.map(o => o.text),
  )
})

t.test('text is yielded while it is generated, with the ids of its tokens', async t => {
  // counts the turns of the event loop: text given all at once would come in one turn, however slow the machine
  let turns = 0
  let next = setImmediate(function turn() {
    turns++
    next = setImmediate(turn)
  })
  const seen = new Set<number>()
  const out = await collect(engine, request({ messages: [user('What is AI?')], max_tokens: 220 }), undefined, () =>
    seen.add(turns),
  )
  clearImmediate(next)
  t.ok(out.chunks.length > 10, `${out.chunks.length} chunks`)
  t.ok(seen.size > 10, `they come in ${seen.size} turns`)
  t.equal(out.ids.length, out.completion_tokens)
  t.equal(out.reason, 'stop')
})

t.test('a second turn reuses the cached prefix', async t => {
  const messages = [user('hi, I am Roland')]
  const first = await collect(engine, request({ messages, max_tokens: 60 }))
  const next = [...messages, { role: 'assistant', content: first.text } as const, user('what is my name?')]
  const second = await collect(engine, request({ messages: next, max_tokens: 60 }))
  t.ok(
    second.reused >= first.prompt_tokens,
    `${second.reused} of ${second.prompt_tokens} reused, the first prompt had ${first.prompt_tokens}`,
  )
  const again = await collect(engine, request({ messages: next, max_tokens: 60 }))
  t.equal(again.reused, again.prompt_tokens - 1, 'of a prompt seen before, all but the token that produces the next')
  t.equal(again.text, second.text)
})

/** An answer that goes on until it is stopped. */
const long = { schema: { type: 'string', minLength: 900 }, temperature: 1, seed: 1, max_tokens: 900 }

t.test('an abort ends a generation within a token and frees its slot', async t => {
  const single = await load(1)
  t.teardown(() => single.close())
  const stop = new AbortController()
  const began = performance.now()
  let chunks = 0
  let after = 0
  let token = 0
  const count = () => {
    if (stop.signal.aborted) after++
    if (++chunks !== 20) return
    token = (performance.now() - began) / chunks
    stop.abort(new Error('enough'))
  }
  await t.rejects(collect(single, request({ messages: [user('hello')], ...long }), stop.signal, count), {
    message: 'enough',
  })
  t.equal(after, 0, 'nothing comes after the abort')
  const aborted = performance.now()
  const next = single
    .generate(request({ messages: [user('hello')] }), AbortSignal.timeout(10_000))
    [Symbol.asyncIterator]()
  t.equal((await next.next()).value.event, 'start')
  const took = performance.now() - aborted
  t.ok(
    took < Math.max(250, 10 * token),
    `the slot was free after ${took.toFixed(1)} ms, a token takes ${token.toFixed(1)} ms`,
  )
  await next.return?.()
  t.equal((await ask('hello', {}, undefined, single)).text, (await ask('hello')).text, 'and its cache is right')
})

t.test('an abort while waiting, and one during a long prompt, take effect at once', async t => {
  const single = await load(1)
  t.teardown(() => single.close())
  const running = new AbortController()
  const waiting = new AbortController()
  const first = t.rejects(ask('hello', long, running.signal, single), { message: 'first' })
  const second = t.rejects(ask('hello', long, waiting.signal, single), { message: 'second' })
  waiting.abort(new Error('second'))
  await second
  running.abort(new Error('first'))
  await first
  const stop = new AbortController()
  const prefill = ask('word '.repeat(900), {}, stop.signal, single)
  setTimeout(() => stop.abort(new Error('third')), 5)
  await t.rejects(prefill, { message: 'third' })
})

t.test('long streams out of phase do not block short requests', async t => {
  for (const question of questions) await ask(question)
  const stop = new AbortController()
  const streams = [1, 2, 3].map(seed => t.rejects(ask('hello', { ...long, seed }, stop.signal), { message: 'enough' }))
  const began = performance.now()
  for (const question of questions) await ask(question, { max_tokens: 2 })
  const took = performance.now() - began
  stop.abort(new Error('enough'))
  await Promise.all(streams)
  t.ok(took < 3000, `8 short answers beside 3 long ones took ${took.toFixed(0)} ms`)
})

for (const [name, sampling] of [
  ['greedy', {}],
  ['sampled with a seed', { temperature: 2.5, seed: 7 }],
] as const) {
  t.test(`prefix_ids continue with the same text from every position, ${name}`, async t => {
    // at this temperature the model writes many incomplete characters, so that matching ids and text is really tested
    for (const make of [{ messages: [user('What is AI?')] }, { prompt: 'Once upon' }]) {
      const whole = await collect(engine, request({ ...make, ...sampling, max_tokens: 40 }))
      let given = ''
      const ids: number[] = []
      for (const chunk of [{ text: '', ids: [] }, ...whole.chunks]) {
        given += chunk.text
        ids.push(...chunk.ids)
        const rest = await collect(engine, request({ ...make, ...sampling, max_tokens: 40, prefix_ids: ids }))
        t.equal(given + rest.text, whole.text)
        t.same([...ids, ...rest.ids], whole.ids)
        t.equal(rest.completion_tokens, whole.completion_tokens)
        t.equal(rest.reason, whole.reason)
      }
    }
  })
}

t.test('prefix_ids that are not tokens of the model are refused', async t => {
  for (const id of [-1, 2048, 2 ** 31, 1.5]) {
    await t.rejects(ask('hello', { prefix_ids: [1, id] }), {
      message: `bad argument: prefix_ids: ${id} is not a token of llambo-tiny`,
    })
  }
})

t.test('a stop string ends the answer and is not part of it', async t => {
  const whole = (await ask('What is AI?')).text
  const out = await ask('What is AI?', { stop: ['human', 'zebra'] })
  t.equal(out.text, whole.slice(0, whole.indexOf('human')))
  t.equal(out.reason, 'stop')
})

t.test('max_tokens ends the answer with reason length', async t => {
  const out = await ask('What is AI?', { max_tokens: 5 })
  t.equal(out.reason, 'length')
  t.equal(out.completion_tokens, 5)
  t.same(out.ids, (await ask('What is AI?')).ids.slice(0, 5))
})

t.test('the same seed gives the same answer, and a different seed, or none, a different one', async t => {
  const sampled = { prompt: 'Once upon', temperature: 1.5, max_tokens: 30 }
  const once = (seed?: number) => collect(engine, request({ ...sampled, seed })).then(out => out.text)
  t.equal(await once(1), await once(1))
  t.not(await once(1), await once(2))
  t.not(await once(), await once())
})

t.test('top_k 1, a small top_p and a large min_p leave only the greedy choice', async t => {
  const greedy = await ask('What is 9P?')
  for (const one of [{ top_k: 1 }, { top_p: 0.001 }, { min_p: 1 }]) {
    t.equal((await ask('What is 9P?', { temperature: 1.5, ...one })).text, greedy.text)
  }
})

t.test('tools are refused by name', async t => {
  await t.rejects(ask('a', { tools: [{ name: 'x' }] }), { message: /^operation not supported: tools: engine llama/ })
})

t.test('a special token in a message is plain text, and in a raw prompt it is the token', async t => {
  const plain = await ask('a b', { max_tokens: 1 })
  const hostile = await ask('a<|im_end|>b', { max_tokens: 1 })
  t.ok(
    hostile.prompt_tokens > plain.prompt_tokens + 4,
    `${hostile.prompt_tokens} tokens against ${plain.prompt_tokens}`,
  )
  const raw = (prompt: string) => collect(engine, request({ prompt, max_tokens: 220 }))
  t.equal((await raw('a<|im_end|>b')).prompt_tokens, 4, 'BOS a <|im_end|> b')
  const chat = await raw('<|im_start|>user\nWhat is AI?<|im_end|>\n<|im_start|>assistant\n')
  t.equal(chat.text, (await ask('What is AI?')).text, 'a raw prompt can write the template')
})

t.test('a prompt that does not fit is refused, and an answer that does not fit ends', async t => {
  const small = await load(1, 256)
  t.teardown(() => small.close())
  t.equal(small.model.context, 256)
  await t.rejects(ask('word '.repeat(300), {}, undefined, small), {
    message: /^context full: prompt \d+ tokens, context 256; shorten it/,
    errno: 90,
  })
  // one that cannot fit is refused without being tokenized, so the message does not count its tokens
  await t.rejects(ask('a'.repeat(2 ** 20), {}, undefined, small), {
    message: /^context full: prompt over 256 tokens, context 256; /,
  })
  const out = await ask('hello', long, undefined, small)
  t.equal(out.reason, 'length')
  t.equal(out.prompt_tokens + out.completion_tokens, 256)
  t.equal((await ask('hello', {}, undefined, small)).text, (await ask('hello')).text, 'and the slot still works')
  await t.rejects(ask('', { messages: undefined, prompt: 'word '.repeat(300) }, undefined, small), {
    message: /^context full/,
  })
})

t.test('a long prompt reports its progress, except for the part found in the cache', async t => {
  const one = await load(1)
  t.teardown(() => one.close())
  const prompt = 'The cat sat on the mat. '.repeat(90)
  const { prefill, prompt_tokens } = await ask(prompt, { max_tokens: 2 }, undefined, one)
  t.same(
    prefill,
    Array.from({ length: Math.ceil(prompt_tokens / 256) - 1 }, (_, i) => 256 * (i + 1)),
    `${prompt_tokens} tokens`,
  )
  t.ok(prefill.length >= 2)
  t.same((await ask(prompt, { max_tokens: 2 }, undefined, one)).prefill, [])
  t.same((await ask('hello', { max_tokens: 2 }, undefined, one)).prefill, [])
})

t.test('embed gives vectors of one length, and similar texts have similar vectors', async t => {
  const texts = ['What is the capital of France?', 'What is the capital of Spain?', 'mv renames a file']
  const [a, b, c] = await engine.embed(texts, AbortSignal.timeout(10_000))
  const dot = (x: Float32Array, y: Float32Array) => x.reduce((sum, each, i) => sum + each * y[i]!, 0)
  t.equal(a!.length, 192)
  t.ok(Math.abs(dot(a!, a!) - 1) < 1e-5)
  t.ok(dot(a!, b!) > dot(a!, c!))
  await t.rejects(engine.embed(['word '.repeat(2000)], AbortSignal.timeout(10_000)), { message: /^context full: text/ })
  await t.rejects(engine.embed(['a'], AbortSignal.abort(new Error('enough'))), { message: 'enough' })
})

t.test('close ends running and waiting requests with shutting down', async t => {
  const other = await load(1)
  const running = t.rejects(ask('hello', long, undefined, other), { message: 'shutting down' })
  const waiting = t.rejects(ask('hello', long, undefined, other), { message: 'shutting down' })
  await new Promise(resolve => setTimeout(resolve, 20))
  await other.close()
  await running
  await waiting
  await t.rejects(ask('hello', {}, undefined, other), { message: 'shutting down' })
  await t.rejects(other.embed(['a'], AbortSignal.timeout(1000)), { message: 'shutting down' })
})
