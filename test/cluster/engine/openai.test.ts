import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import fc from 'fast-check'
import t from 'tap'
import { eventData } from '../../../cluster/worker/engine/openai/sse.js'
import { createOpenAIEngine } from '../../../cluster/worker/engine/openai.js'
import { collect, request } from './common.js'

interface Request {
  readonly path: string
  readonly key: string | undefined
  readonly body: any
  readonly closed: Promise<void>
}

type Answer = (request: Request, response: ServerResponse) => void | Promise<void>

/** A server that answers as a test says, and an engine of it. */
async function serve(t: { teardown(f: () => unknown): void }, answer: Answer, changes = {}) {
  const requests: Request[] = []
  const server = createServer(async (incoming: IncomingMessage, response) => {
    let body = ''
    for await (const chunk of incoming) body += chunk
    const closed = new Promise<void>(resolve => response.on('close', () => resolve()))
    const request = { path: incoming.url!, key: incoming.headers.authorization, body: JSON.parse(body), closed }
    requests.push(request)
    await answer(request, response)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const engine = createOpenAIEngine({ url, model: 'm', key: 'secret', slots: 2, ...changes })
  t.teardown(async () => {
    await engine.close()
    server.closeAllConnections()
    server.close()
  })
  return { engine, requests, url }
}

const event = (data: object | string) => `data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`
const delta = (content: string) => event({ choices: [{ delta: { content } }] })
const finish = (reason: string) => event({ choices: [{ delta: {}, finish_reason: reason }] })
const usage = event({ choices: [], usage: { prompt_tokens: 9, completion_tokens: 4 } })
const done = event('[DONE]')

const chat = request({ messages: [{ role: 'user', content: 'hi' }], max_tokens: 50 })

t.test('a stream is given as it comes, with the counts of its usage and no ids', async t => {
  const { engine, requests } = await serve(t, (_request, response) => {
    response.end(`: hello\n\n${delta('One')}${delta(' two\n')}${delta('three\n\n')}${finish('stop')}${usage}${done}`)
  })
  const seen: unknown[] = []
  const out = await collect(engine, chat, undefined, chunk => seen.push(chunk))
  t.equal(out.text, 'One two\nthree')
  t.same(out.ids, [])
  t.match(seen.at(-1), { event: 'end', reason: 'stop', completion_tokens: 4, prompt_tokens: 9 })
  t.match(requests[0], {
    path: '/v1/chat/completions',
    key: 'Bearer secret',
    body: { model: 'm', stream: true, messages: [{ role: 'user', content: 'hi' }], max_tokens: 50, temperature: 0 },
  })
  t.notOk('top_k' in requests[0]!.body, 'what the API does not know is not said unless asked for')
})

t.test('bytes split in the middle of lines and characters make the same text', async t => {
  const stream = Buffer.from(`${delta('grün 😀')}\r\n${delta('ende')}${finish('length')}${done}`)
  const { engine } = await serve(t, async (_request, response) => {
    for (const byte of stream) {
      response.write(Buffer.of(byte))
      await new Promise(resolve => setImmediate(resolve))
    }
    response.end()
  })
  const out = await collect(engine, chat)
  t.equal(out.text, 'grün 😀ende')
  t.equal(out.reason, 'length')
})

t.test('server-sent events are the same however they are cut', async () => {
  const events = fc.array(
    fc.array(
      fc.string({ unit: 'grapheme' }).map(s => s.replace(/[\r\n]/g, ' ')),
      { minLength: 1 },
    ),
  )
  await fc.assert(
    fc.asyncProperty(events, fc.constantFrom('\n', '\r\n'), fc.array(fc.nat(9)), async (events, end, cuts) => {
      const text = events
        .map(lines => `: x${end}${lines.map(l => `data: ${l}${end}`).join('')}id: 1${end}${end}`)
        .join('')
      const bytes = Buffer.from(text)
      async function* pieces() {
        let at = 0
        for (const n of cuts) yield bytes.subarray(at, (at += n))
        yield bytes.subarray(at)
      }
      const out: string[] = []
      for await (const data of eventData(pieces())) out.push(data)
      return JSON.stringify(out) === JSON.stringify(events.map(lines => lines.join('\n')))
    }),
    { numRuns: 300 },
  )
})

t.test('an event without end is refused at 1 MiB', async t => {
  async function* endless() {
    for (;;) yield Buffer.from('data: '.padEnd(65536, 'x'))
  }
  await t.rejects(eventData(endless()).next(), { message: /^i\/o error: an event over/ })
})

t.test('a raw prompt goes to completions', async t => {
  const { engine, requests, url } = await serve(t, (_request, response) => {
    response.end(`${event({ choices: [{ text: 'x y', finish_reason: 'stop' }] })}${done}`)
  })
  t.equal(
    (await collect(engine, request({ prompt: 'Once', max_tokens: 5, seed: 3, top_k: 4, min_p: 0.1 }))).text,
    'x y',
  )
  t.match(requests[0], { path: '/v1/completions', body: { prompt: 'Once', seed: 3, top_k: 4, min_p: 0.1 } })
  const other = createOpenAIEngine({ url: `${url}/v1/`, model: 'm', slots: 1 })
  await collect(other, request({ prompt: 'Once' }))
  t.match(requests[1], { path: '/v1/completions', key: undefined }, 'with /v1 in the url, and without a key')
})

t.test('a stop string ends the answer here, whatever the server makes of it, and closes the request', async t => {
  const { engine, requests } = await serve(t, (_request, response) => {
    response.write(`${delta('one S')}${delta('TOP two')}`)
  })
  const out = await collect(engine, { ...chat, stop: ['a', 'b', 'c', 'd', 'STOP'].slice(3) })
  t.equal(out.text, 'one ')
  t.equal(out.reason, 'stop')
  t.same(requests[0]!.body.stop, ['d', 'STOP'])
  await requests[0]!.closed
})

t.test('a schema and tools are passed, and calls come back whole', async t => {
  const call = (index: number, f: object) => event({ choices: [{ delta: { tool_calls: [{ index, function: f }] } }] })
  const { engine, requests } = await serve(t, (_request, response) => {
    response.end(
      `${call(0, { name: 'weather', arguments: '{"ci' })}${call(0, { arguments: 'ty":"Rome"}' })}${call(1, { name: 'now' })}${finish('tool_calls')}${done}`,
    )
  })
  const tools = [{ name: 'weather', parameters: { type: 'object' } }, { name: 'now' }]
  const out = await collect(engine, { ...chat, tools, schema: { type: 'object' } })
  t.equal(out.reason, 'tool')
  t.same(out.calls, [
    { name: 'weather', arguments: { city: 'Rome' } },
    { name: 'now', arguments: {} },
  ])
  t.match(requests[0]!.body, {
    tools: [{ type: 'function', function: { name: 'weather', parameters: { type: 'object' } } }, { type: 'function' }],
    response_format: { type: 'json_schema', json_schema: { schema: { type: 'object' } } },
  })
})

t.test('an error of the server is told with its status and words', async t => {
  const replies: [number, string, RegExp][] = [
    [
      401,
      '{"error":{"message":"Incorrect API key"}}',
      /^i\/o error: http:\S+\/chat\/completions: 401 Incorrect API key$/,
    ],
    [400, '{"error":"no such model"}', /: 400 no such model$/],
    [502, '<html>\n bad gateway </html>', /: 502 <html> bad gateway <\/html>$/],
    [503, '', /: 503 Service Unavailable$/],
    [500, 'x'.repeat(100_000), /: 500 x{300}$/],
    [200, event({ error: { message: 'out of memory' } }), /: out of memory$/],
    [200, event('{'), /: not JSON: \{$/],
    [200, delta('half'), /: the answer broke off$/],
  ]
  const { engine } = await serve(t, (_request, response) => {
    const [status, body] = replies[0]!
    response.writeHead(status).end(body)
  })
  while (replies.length > 0) {
    await t.rejects(collect(engine, chat), { message: replies[0]![2], errno: 5 })
    replies.shift()
  }
})

t.test('a server that is not there, or goes away, is told with the remedy', async t => {
  const { engine: gone } = await serve(t, (_request, response) => {
    response.write(delta('half'))
    setTimeout(() => response.destroy(), 20)
  })
  await t.rejects(collect(gone, chat), { message: /: the server closed the connection$/ })
  // A port that was free a moment ago.
  const port = await new Promise<number>(resolve => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })
  const engine = createOpenAIEngine({ url: `http://127.0.0.1:${port}`, model: 'm', slots: 1 })
  await t.rejects(collect(engine, chat), {
    message: `i/o error: http://127.0.0.1:${port}/v1/chat/completions: connection refused: is the server running there?`,
  })
  for (const url of ['127.0.0.1:9', 'ftp://x', '']) {
    t.throws(() => createOpenAIEngine({ url, model: 'm', slots: 1 }), { message: /^bad argument: url / })
  }
})

t.test('an abort closes the request, running or waiting for its first byte', async t => {
  const reason = new Error('enough')
  const { engine, requests } = await serve(t, (request, response) => {
    if (request.body.max_tokens === 50) response.write(delta('one '))
  })
  for (const max_tokens of [50, 51]) {
    const stop = new AbortController()
    const running = t.rejects(collect(engine, { ...chat, max_tokens }, stop.signal), reason)
    setTimeout(() => stop.abort(reason), 50)
    await running
    await requests.at(-1)!.closed
  }
})

t.test('requests beyond the slots wait here', async t => {
  let at = 0
  let most = 0
  const { engine } = await serve(t, async (_request, response) => {
    most = Math.max(most, ++at)
    await new Promise(resolve => setTimeout(resolve, 20))
    at--
    response.end(`${delta('x')}${finish('stop')}${done}`)
  })
  const all = await Promise.all(Array.from({ length: 6 }, () => collect(engine, chat)))
  t.ok(all.every(out => out.text === 'x'))
  t.equal(most, 2)
  await t.rejects(collect(engine, { ...chat, prefix_ids: [1] }), { message: /^bad argument: prefix_ids/ })
})

t.test('embed asks for vectors and gives them in the order of the texts', async t => {
  let reply: unknown = {
    data: [
      { index: 1, embedding: [3, 4] },
      { index: 0, embedding: [1, 2] },
    ],
  }
  const { engine, requests } = await serve(t, (_request, response) => {
    response.end(JSON.stringify(reply))
  })
  const vectors = await engine.embed(['a', 'b'], AbortSignal.timeout(5000))
  t.same(vectors, [Float32Array.of(1, 2), Float32Array.of(3, 4)])
  t.match(requests[0], { path: '/v1/embeddings', body: { model: 'm', input: ['a', 'b'] } })
  reply = { data: [{ index: 1, embedding: [1] }] }
  await t.rejects(engine.embed(['a', 'b'], AbortSignal.timeout(5000)), { message: /not a vector for each text$/ })
})
