/** Tests of the engine `openai` against servers of many kinds. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import fc from 'fast-check'
import t from 'tap'
import { events } from '../../../cluster/worker/engine/openai/sse.js'
import { createOpenAIEngine } from '../../../cluster/worker/engine/openai.js'
import { type Clock, systemClock } from '../../../fs/base/clock.js'
import { collect, request } from './common.js'

interface Request {
  readonly path: string
  readonly key: string | undefined
  readonly body: any
  readonly closed: Promise<void>
}

type Answer = (request: Request, response: ServerResponse) => void | Promise<void>

/** Starts a server that answers as the test says, and makes an engine for it. */
async function serve(t: { teardown(f: () => unknown): void }, answer: Answer, changes = {}) {
  const requests: Request[] = []
  const server = createServer(async (incoming: IncomingMessage, response) => {
    let body = ''
    for await (const chunk of incoming) body += chunk
    const closed = new Promise<void>(resolve => response.on('close', () => resolve()))
    const request = { path: incoming.url!, key: incoming.headers.authorization, body: JSON.parse(body || '{}'), closed }
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

/** A clock on which ten minutes pass within a second. Timers take as long as usual. */
const hurried: Clock = { ...systemClock, now: () => performance.now() * 600 }

const chat = request({ messages: [{ role: 'user', content: 'hi' }], max_tokens: 50 })

t.test('a stream is yielded as it comes, with the counts of its usage and without ids', async t => {
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
  t.notOk('top_k' in requests[0]!.body, 'a parameter that the API does not know is sent only if it was asked for')
})

t.test('a stream cut in the middle of lines and characters gives the same text', async t => {
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
  const lists = fc.array(
    fc.array(
      fc.string({ unit: 'grapheme' }).map(s => s.replace(/[\r\n]/g, ' ')),
      { minLength: 1 },
    ),
  )
  await fc.assert(
    fc.asyncProperty(lists, fc.constantFrom('\n', '\r\n', '\r'), fc.array(fc.nat(9)), async (all, end, cuts) => {
      const text = all.map(lines => `: x${end}${lines.map(l => `data: ${l}${end}`).join('')}id: 1${end}${end}`).join('')
      const bytes = Buffer.from(text)
      async function* pieces() {
        let at = 0
        for (const n of cuts) yield bytes.subarray(at, (at += n))
        yield bytes.subarray(at)
      }
      const out: string[] = []
      for await (const event of events(pieces())) if (event !== 'idle') out.push(event.data)
      return JSON.stringify(out) === JSON.stringify(all.map(lines => lines.join('\n')))
    }),
    { numRuns: 300 },
  )
})

t.test('an event over 1 MiB is refused', async t => {
  async function* endless() {
    for (;;) yield Buffer.from('data: '.padEnd(65536, 'x'))
  }
  const reading = (async () => {
    for await (const _ of events(endless()));
  })()
  await t.rejects(reading, { message: /^the upstream failed: an event over/ })
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

t.test('a stop string ends the answer, whatever the server does with it, and closes the request', async t => {
  const { engine, requests } = await serve(t, (_request, response) => {
    response.write(`${delta('one S')}${delta('TOP two')}`)
  })
  const out = await collect(engine, { ...chat, stop: ['a', 'b', 'c', 'd', 'STOP'].slice(3) })
  t.equal(out.text, 'one ')
  t.equal(out.reason, 'stop')
  t.same(requests[0]!.body.stop, ['d', 'STOP'])
  await requests[0]!.closed
})

t.test('a schema and tools are sent, and calls are assembled from their parts', async t => {
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

t.test(
  'a failure is reported as refused, as busy (to be retried later), or as failed, with the status and the message of the server',
  async t => {
    const date = new Date(Date.now() + 5_500).toUTCString()
    const message = (words: string) => JSON.stringify({ error: { message: words } })
    const replies: [number, Record<string, string>, string, RegExp, number][] = [
      [
        401,
        {},
        message('Incorrect API key: secret'),
        /^the upstream refuses this: http:\S+\/chat\/completions: 401 Incorrect API key: …$/,
        22,
      ],
      [400, {}, '{"error":"no such model"}', /^the upstream refuses this: .*: 400 no such model$/, 22],
      [
        400,
        {},
        '{"object":"error","message":"context length exceeded: 5000 > 4096","code":400}',
        /refuses this: .*: 400 context length exceeded: 5000 > 4096$/,
        22,
      ],
      [
        404,
        { 'content-type': 'text/html' },
        '<html>\n <b>404\u001b[31m</b> </html>',
        /refuses this: .*: 404 <html> <b>404\ufffd\[31m<\/b> <\/html>$/,
        22,
      ],
      [
        422,
        {},
        '{"detail":[{"loc":["body","x"],"msg":"Extra inputs are not permitted"}]}',
        /refuses this: .*: 422 Extra inputs are not permitted$/,
        22,
      ],
      [
        307,
        { location: 'http://elsewhere/v1' },
        '',
        /refuses this: .*: 307: redirected to http:\/\/elsewhere\/v1; set engine.url/,
        22,
      ],
      [429, { 'retry-after': '7' }, message('Rate limit'), /^the upstream asks to wait 7 s: .*: 429 Rate limit$/, 16],
      [429, { 'retry-after': date }, message('Rate limit'), /^the upstream asks to wait [456] s: /, 16],
      [
        429,
        { 'retry-after-ms': '1500', 'retry-after': '9' },
        '',
        /^the upstream asks to wait 2 s: .*: 429 Too Many Requests$/,
        16,
      ],
      [429, { 'retry-after': '99999999' }, '', /^the upstream asks to wait 86400 s: /, 16],
      [429, { 'retry-after': 'soon' }, '', /^the upstream asks to wait 1 s: /, 16],
      [
        503,
        {},
        '{"error":"Model is loading","estimated_time":19.2}',
        /^the upstream asks to wait 20 s: .*: 503 Model is loading$/,
        16,
      ],
      [503, {}, '', /^the upstream asks to wait 1 s: .*: 503 Service Unavailable$/, 16],
      [408, {}, '', /^the upstream failed: .*: 408 Request Timeout$/, 121],
      [500, {}, 'x'.repeat(100_000), /^the upstream failed: .*: 500 x{299}…$/, 121],
      [502, {}, '<html>\n bad gateway </html>', /^the upstream failed: .*: 502 <html> bad gateway <\/html>$/, 121],
      [200, {}, event({ error: { message: 'out of memory' } }), /^the upstream failed: .*: 500 out of memory$/, 121],
      [
        200,
        {},
        event({ error: 'model runner has stopped' }),
        /^the upstream failed: .*: 500 model runner has stopped$/,
        121,
      ],
      [
        200,
        {},
        `event: error\n${event({ message: 'slot died', code: 500 })}`,
        /^the upstream failed: .*: 500 slot died$/,
        121,
      ],
      [
        200,
        {},
        event({ error: { code: 400, message: 'too long' } }),
        /^the upstream refuses this: .*: 400 too long$/,
        22,
      ],
      [200, {}, event('{"choices":[{"del'), /^the upstream failed: .*: not JSON: \{"choices"/, 121],
      [
        200,
        {},
        event({ choices: [{ delta: { content: 5 } }] }),
        /^the upstream failed: .*: content: expected a string/,
        121,
      ],
      [200, {}, event({ choices: 'x' }), /^the upstream failed: .*: choices: expected a list, not "x"$/, 121],
      [200, {}, delta('half'), /^the upstream failed: .*: the answer broke off$/, 121],
      [
        200,
        { 'content-type': 'text/html' },
        '<html>welcome</html>',
        /^the upstream failed: .*: answered with a web page; check engine.url$/,
        121,
      ],
      [200, { 'content-encoding': 'gzip' }, 'x', /^the upstream failed: .*: unexpected content-encoding gzip/, 121],
      [200, { 'x-long': 'x'.repeat(20_000) }, 'x', /^the upstream failed: .*: a header over 16384 bytes/, 121],
      [
        200,
        {},
        `${delta('Part')}${finish('content_filter')}${done}`,
        /^the upstream refuses this: .*: its content filter ended the answer$/,
        22,
      ],
    ]
    const { engine } = await serve(t, (_request, response) => {
      const [status, headers, body] = replies[0]!
      response.writeHead(status, headers).end(body)
    })
    while (replies.length > 0) {
      const [status, , body, message, errno] = replies[0]!
      await t.rejects(collect(engine, chat), { message, errno }, `${status} ${body.slice(0, 40)}`)
      replies.shift()
    }
  },
)

t.test('answers in the forms of real servers are read', async t => {
  const chunk = (d: object, reason: string | null = null, more = {}) =>
    event({ choices: [{ index: 0, delta: d, finish_reason: reason }], ...more })
  const call = (part: object, reason: string | null = null) => chunk({ tool_calls: [part] }, reason)
  const rome = [{ name: 'f', arguments: { city: 'Rome' } }]
  const shapes: Record<string, [string, object]> = {
    'reasoning before text': [
      `${chunk({ reasoning_content: 'Hm. ' })}${chunk({ content: '4' }, 'stop')}${done}`,
      { text: '4' },
    ],
    'nothing but reasoning': [
      `${chunk({ reasoning: 'It is ' })}${chunk({ reasoning: '4.' })}${chunk({}, 'length')}`,
      { text: 'It is 4.', reason: 'length' },
    ],
    comments: [
      `: PROCESSING\n\n: PROCESSING\n\n${chunk({ content: 'ok' })}${chunk({}, 'stop')}${done}`,
      { text: 'ok' },
    ],
    'a byte order mark': [`\ufeff${chunk({ content: 'a' })}${chunk({ content: 'b' }, 'stop')}${done}`, { text: 'ab' }],
    'lines that end in CR': [
      `${chunk({ content: 'a' })}${chunk({ content: 'b' }, 'stop')}${done}`.replaceAll('\n', '\r'),
      { text: 'ab' },
    ],
    'no last empty line': [`${chunk({ content: 'a' })}${chunk({ content: 'b' }, 'stop')}`.trimEnd(), { text: 'ab' }],
    'no finish_reason and a [DONE]': [`${chunk({ content: 'a' })}${done}`, { text: 'a', reason: 'stop' }],
    'words that are not JSON': [
      `${event('ping')}${chunk({ content: 'a' })}${event('')}${event('pong')}${chunk({}, 'stop')}`,
      { text: 'a' },
    ],
    'a reply that is not a stream': [
      JSON.stringify({ choices: [{ message: { content: 'whole' }, finish_reason: 'stop' }] }),
      { text: 'whole' },
    ],
    'content in parts': [
      `${chunk({ content: [{ type: 'text', text: 'hel' }, { text: 'lo' }] }, 'stop')}`,
      { text: 'hello' },
    ],
    'a NUL': [
      `${event('{"choices":[{"delta":{"content":"a\\u0000b"},"finish_reason":"stop"}]}')}`,
      { text: 'a\ufffdb' },
    ],
    'a refusal': [`${chunk({ refusal: 'I cannot.' })}${chunk({}, 'stop')}`, { text: 'I cannot.' }],
    'a surrogate pair that is cut': [
      `${event('{"choices":[{"delta":{"content":"\\ud83d"}}]}')}${event('{"choices":[{"delta":{"content":"\\ude00"},"finish_reason":"stop"}]}')}`,
      { text: '😀' },
    ],
    'two choices': [
      `${event({
        choices: [
          { index: 1, delta: { content: 'no' } },
          { index: 0, delta: { content: 'yes' } },
        ],
      })}${chunk({}, 'stop')}`,
      { text: 'yes' },
    ],
    'counts as text': [
      `${chunk({ content: 'a' }, 'stop')}${event({ choices: [], usage: { prompt_tokens: '3', completion_tokens: '1' } })}${done}`,
      { completion_tokens: 1 },
    ],
    'invalid counts': [
      `${chunk({ content: 'a' }, 'stop', { usage: { completion_tokens: -5, prompt_tokens: {} } })}${done}`,
      { completion_tokens: 1 },
    ],
    'a call without index': [
      `${call({ id: 'c1', function: { name: 'f', arguments: '{"city":' } })}${call({ function: { arguments: '"Rome"}' } }, 'tool_calls')}`,
      { calls: rome, reason: 'tool' },
    ],
    'a call at index 1': [
      `${call({ index: 1, id: 'c1', function: { name: 'f', arguments: '{"city":"Rome"}' } }, 'tool_calls')}`,
      { calls: rome },
    ],
    'a call whose name comes twice': [
      `${call({ index: 0, id: 'c1', function: { name: 'f', arguments: '{"city":' } })}${call({ index: 0, id: 'c1', function: { name: 'f', arguments: '"Rome"}' } }, 'stop')}`,
      { calls: rome, reason: 'tool' },
    ],
    'a call with an object': [
      `${call({ function: { name: 'f', arguments: { city: 'Rome' } } }, 'stop')}`,
      { calls: rome },
    ],
    'a call that is cut off': [
      `${call({ index: 0, id: 'c1', function: { name: 'f', arguments: '{"a":' } })}${chunk({}, 'length')}`,
      { calls: undefined, reason: 'length' },
    ],
  }
  let now = ''
  const { engine } = await serve(t, (_request, response) => {
    const body = shapes[now]![0]
    response
      .writeHead(200, { 'content-type': body.startsWith('{') ? 'application/json' : 'text/event-stream' })
      .end(body)
  })
  for (now of Object.keys(shapes)) t.match(await collect(engine, chat), shapes[now]![1], now)
})

t.test('a tool call whose name is too long ends the answer', async t => {
  const part = (name: string) => event({ choices: [{ delta: { tool_calls: [{ index: 0, function: { name } }] } }] })
  const { engine } = await serve(t, (_request, response) => {
    response.end(`${part('a'.repeat(200))}${part('b'.repeat(57))}${finish('tool_calls')}${done}`)
  })
  await t.rejects(collect(engine, chat), {
    message: 'the upstream failed: a tool call has a name of over 256 characters',
  })
})

t.test('text before a failure is kept: before a broken event, a cut, an error', async t => {
  const bodies = [event('{"choices":['), event({ error: 'died' }), '']
  const { engine } = await serve(t, (_request, response) => {
    response.end(`${delta('good\n')}${bodies[0]}`)
  })
  while (bodies.length > 0) {
    let text = ''
    const failing = collect(engine, { ...chat, stop: ['odd'] }, undefined, chunk => {
      if (chunk.event === 'token') text += chunk.text
    })
    await t.rejects(failing, { message: /^the upstream failed/ })
    t.equal(text, 'good')
    bodies.shift()
  }
})

t.test('a parameter that the server does not accept is left out or renamed, also in later requests', async t => {
  const no = (param: string, words = '') =>
    JSON.stringify({ error: { message: words || 'no', param: words ? null : param } })
  const { engine, requests } = await serve(t, ({ body }, response) => {
    const refused =
      'max_tokens' in body
        ? no('max_tokens')
        : 'temperature' in body
          ? no('', "Unsupported parameter: 'temperature' is not supported with this model")
          : undefined
    if (refused) response.writeHead(400).end(refused)
    else response.end(`${delta('ok')}${finish('stop')}`)
  })
  t.equal((await collect(engine, chat)).text, 'ok')
  t.equal((await collect(engine, chat)).text, 'ok')
  t.equal(requests.length, 4, 'the second request is sent once')
  t.match(requests.at(-1)!.body, { max_completion_tokens: 50, top_p: 1 })
  t.notOk('max_tokens' in requests.at(-1)!.body || 'temperature' in requests.at(-1)!.body)
})

t.test('an address with a path is used unchanged, with its query', async t => {
  const { url, requests } = await serve(t, (_request, response) => {
    response.end(`${delta('ok')}${finish('stop')}`)
  })
  for (const [path, asked] of [
    ['', '/v1/chat/completions'],
    ['/', '/v1/chat/completions'],
    ['/v1/', '/v1/chat/completions'],
    ['/v1/chat/completions', '/v1/chat/completions'],
    ['/v1beta/openai', '/v1beta/openai/chat/completions'],
    ['/api/v3/?version=2', '/api/v3/chat/completions?version=2'],
  ]) {
    await collect(createOpenAIEngine({ url: `${url}${path}`, model: 'm', slots: 1 }), chat)
    t.equal(requests.at(-1)!.path, asked)
  }
})

t.test('a check asks for the list of models and sends no prompt', async t => {
  const list = (...names: string[]) => JSON.stringify({ data: names.map(id => ({ id })) })
  const replies: [number, string, RegExp | undefined][] = [
    [200, list('a', 'm'), undefined],
    [200, list('m:latest'), undefined],
    [200, '{"models":[{"name":"m"}]}', undefined],
    [200, '{"data":[{"id":"/path/other.gguf","owned_by":"llamacpp"}]}', undefined],
    [404, '', undefined],
    [429, '', undefined],
    [
      200,
      list('a', `b${'x'.repeat(255)}`, '\x1b[2J', 'c'),
      /^the upstream refuses this: .*: no model m; models: a, c$/,
    ],
    [200, list('a', 'b'), /^the upstream refuses this: .*: no model m; models: a, b$/],
    [401, '{"error":{"message":"no"}}', /^the upstream refuses this: .*\/models: 401 no$/],
    [500, '', /^the upstream failed: .*\/models: 500 /],
  ]
  const { engine, requests } = await serve(t, ({ path }, response) => {
    const [status, body] = path.endsWith('/models') ? replies[0]! : ([404, ''] as const)
    response.writeHead(status, { 'content-type': 'application/json' }).end(body)
  })
  while (replies.length > 0) {
    const [status, body, message] = replies[0]!
    const checked = engine.remote!.check(AbortSignal.timeout(5000))
    if (message) await t.rejects(checked, { message }, `${status} ${body}`)
    else await t.resolves(checked, `${status} ${body}`)
    replies.shift()
  }
  t.ok(requests.every(({ path }) => path.startsWith('/v1/models')))
})

t.test('a stream without text reports that the server is at work, and silence ends only that request', async t => {
  const { engine } = await serve(
    t,
    async ({ body }, response) => {
      response.write(': waking up\n\n')
      if (body.max_tokens === 51) return
      for (let i = 0; i < 8; i++) {
        await new Promise(resolve => setTimeout(resolve, 200))
        response.write(event({ choices: [{ delta: { reasoning_content: 'hm' } }] }))
      }
      response.end(`${delta('42')}${finish('stop')}`)
    },
    { silence_ms: 1_000, clock: hurried },
  )
  const seen: string[] = []
  const [thinking] = await Promise.all([
    collect(engine, chat, undefined, chunk => seen.push(chunk.event)),
    t.rejects(collect(engine, { ...chat, max_tokens: 51 }), {
      message: /^the upstream failed: .*: sent nothing for 1 s$/,
      errno: 121,
    }),
  ])
  t.equal(thinking.text, '42')
  t.ok(seen.includes('alive'))
})

t.test('endless comments are given up, and so is an endless line', async t => {
  let endless = ': x\n'.repeat(10_000)
  const { engine } = await serve(
    t,
    (_request, response) => {
      const more = () => {
        while (!response.destroyed && response.write(endless));
        if (!response.destroyed) response.once('drain', more)
      }
      more()
    },
    { clock: hurried },
  )
  await t.rejects(collect(engine, chat), { message: /^the upstream failed: .*: sent only comments for \d+ s$/ })
  endless = 'x'.repeat(100_000)
  await t.rejects(collect(engine, chat), { message: /^the upstream failed: an event over/ })
})

t.test('a server that is missing or goes away is reported with the remedy', async t => {
  const { engine: gone } = await serve(t, (_request, response) => {
    response.write(delta('half'))
    setTimeout(() => response.destroy(), 20)
  })
  await t.rejects(collect(gone, chat), { message: /: the server closed the connection$/ })
  // a port that was free a moment ago
  const port = await new Promise<number>(resolve => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })
  const engine = createOpenAIEngine({ url: `http://127.0.0.1:${port}`, model: 'm', slots: 1 })
  await t.rejects(collect(engine, chat), {
    message: `the upstream failed: http://127.0.0.1:${port}/v1/chat/completions: connection refused: is the server running there?`,
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

t.test('requests beyond the slots wait in the engine', async t => {
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

t.test('embed asks for vectors and returns them in the order of the texts', async t => {
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
  await t.rejects(engine.embed(['a', 'b'], AbortSignal.timeout(5000)), {
    message: /^the upstream failed: .*: data: expected 2 vectors$/,
  })
})
