/** Tests of the parsers for answers: the events of `generate`, the vectors of `embed`, and the end of a worker. */

import t from 'tap'
import { AnswerReader, MAX_LINE, parseAnswerEvent } from '../../api/answer.js'
import { parseEmbedded } from '../../api/embed.js'
import { MAX_EVENT, parseExit } from '../../api/exit.js'

const event = (value: object) => parseAnswerEvent(JSON.stringify(value))
const unfit = { name: 'Unfit' }

t.test('each event of an answer has its own fields, and unknown events are refused', async t => {
  t.same(event({ event: 'token', text: 'a\n', ids: [1, 2], more: 1 }), { event: 'token', text: 'a\n', ids: [1, 2] })
  t.same(event({ event: 'queued', task: '7', position: 2 }), { event: 'queued', task: '7', position: 2 })
  t.same(event({ event: 'end', reason: 'stop', tok_s: 2.5 }), { event: 'end', reason: 'stop', tok_s: 2.5 })
  const bad = [
    {},
    { event: 'toString' },
    { event: 7 },
    { event: 'token', text: 'a' },
    { event: 'token', text: 'a', ids: ['1'.repeat(40)] },
    { event: 'token', text: 'a', ids: [-1] },
    { event: 'token', text: 'a', ids: [2 ** 31] },
    { event: 'token', text: ['a'], ids: [] },
    { event: 'queued', task: '../1' },
    { event: 'queued', task: 7 },
    { event: 'end', reason: 'mood' },
    { event: 'end', reason: 'stop', completion_tokens: -1 },
    { event: 'prefill', tokens: 1e300 },
  ]
  for (const value of bad) t.throws(() => event(value), unfit, JSON.stringify(value))
  t.throws(() => parseAnswerEvent('null'), unfit)
  t.throws(() => parseAnswerEvent(`{"event":"tool","calls":${'['.repeat(9000)}${']'.repeat(9000)}}`), unfit)
})

t.test('a reader gives events as they become complete, and what follows a bad line is refused', async t => {
  const bytes = (text: string) => new TextEncoder().encode(text)
  const reader = new AnswerReader('member')
  const token = '{"event":"token","text":"é","ids":[7]}\n'
  const all = bytes(token + token)
  const got = [...all].flatMap(byte => [...reader.take(Uint8Array.of(byte))])
  t.same(got, Array(2).fill({ event: 'token', text: 'é', ids: [7] }), 'a byte at a time')
  const before: unknown[] = []
  t.throws(
    () => {
      for (const event of reader.take(bytes(`${token}null\n`))) before.push(event)
    },
    { message: /^bad message: / },
  )
  t.equal(before.length, 1, 'events before the bad line are given')
  t.throws(() => [...new AnswerReader('member').take(Uint8Array.of(0xff, 0x0a))], { message: /not UTF-8/ })
  t.throws(() => [...new AnswerReader('member').take(bytes('x'.repeat(MAX_LINE + 1)))], { message: /a line over/ })
  const endless = new AnswerReader('member')
  const long = bytes(`${JSON.stringify({ event: 'token', text: 'x'.repeat(4 * 2 ** 20), ids: [1] })}\n`)
  t.throws(
    () => {
      for (let i = 0; i < 5; i++) for (const _ of endless.take(long));
    },
    { message: /an answer over/ },
  )
})

t.test('an event that only a newer server knows is skipped; from a member of a cluster it is refused', async t => {
  const bytes = new TextEncoder().encode('{"event":"news","x":1}\n{"event":"alive"}\n')
  t.same([...new AnswerReader('server').take(bytes)], [{ event: 'alive' }])
  t.throws(() => [...new AnswerReader('member').take(bytes)], {
    message: 'bad message: event stream: unknown event "news"',
  })
  for (const line of ['{}', 'null', '{"event":7}', '{"event":"token"}', 'x'])
    t.throws(() => [...new AnswerReader('server').take(new TextEncoder().encode(`${line}\n`))], { code: 'badMessage' })
})

t.test("a worker's error text becomes one short line", async t => {
  const said = event({ event: 'error', error: `\u001b[31mno\n${'x'.repeat(5000)}` })
  t.match(said, { error: /^\ufffd\[31mno x+…$/ })
  t.equal((said as { error: string }).error.length, 1000)
})

t.test("a worker's end is read from its host's events, in time linear in the length of the line", async t => {
  const line = 'seq=1 time=2026-01-01T00:00:00Z kind=worker-exited id=a boot=b1 signal=SIGSEGV cause=crashed'
  t.match(parseExit(line), { boot: 'b1', signal: 'SIGSEGV' })
  t.equal(parseExit('seq=2 kind=worker-started boot=b1 pid=7'), undefined)
  t.equal(parseExit('seq=3 kind=worker-exited boot=b1 code=0'), undefined)
  t.same(parseExit("seq=4 kind=worker-exited boot=b1 code=2 error='no room'"), {
    boot: 'b1',
    code: 2,
    error: 'no room',
  })
  for (const bad of ['boot=a/b signal=SIGSEGV', "boot='' signal=SIGSEGV", 'boot=b signal=x', `boot=b signal=SIG\u001b`])
    t.throws(() => parseExit(`kind=worker-exited ${bad}`), unfit, bad)
  t.throws(() => parseExit(`kind=worker-exited ${'boot= '.repeat(MAX_EVENT)}`), unfit)
  // the longest line that is accepted; parsing such a line once took a minute
  const began = performance.now()
  t.equal(parseExit(` kind=worker-exited ${'boot= '.repeat(10_000)}`), undefined)
  t.ok(performance.now() - began < 5000)
})

t.test('vectors are lists of numbers', async t => {
  t.same(parseEmbedded('{"model":"m","embeddings":[[1,-2.5e-3]]}'), { model: 'm', embeddings: [[1, -0.0025]] })
  for (const bad of ['{}', '[]', '{"model":"m","embeddings":[["x"]]}', '{"model":"m","embeddings":[[[1]]]}', 'x'])
    t.throws(() => parseEmbedded(bad), { message: /^bad message: / }, bad)
})
