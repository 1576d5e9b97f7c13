/** Tests of the `generate` and `embed` files. */
import t from 'tap'
import { createEchoEngine } from '../../../cluster/worker/engine/echo.js'
import { ndjson, rig } from './fixture.js'

const ask = (content: string) => ({ messages: [{ role: 'user', content }] })

t.test('a JSON request returns its events as lines', async t => {
  const ann = await (await rig(t)).as('ann')
  const events = await ann.events('generate', ask('red green'))
  t.match(events, [
    { event: 'queued', task: '1', position: 0 },
    { event: 'start', worker: 'worker-0001', model: 'echo', ttft_ms: Number, prompt_tokens: 2 },
    { event: 'token', text: '0:red', ids: [0] },
    { event: 'token', text: ' 1:green', ids: [1] },
    { event: 'end', reason: 'stop', prompt_tokens: 2, completion_tokens: 2, tok_s: Number },
  ])
  t.equal(await ann.read('task/1/stream'), `${events.map(e => JSON.stringify(e)).join('\n')}\n`)
})

t.test('max_tokens, stop and raw prompts are obeyed', async t => {
  const ann = await (await rig(t)).as('ann')
  const long = await ann.events('generate', { ...ask('w x50'), max_tokens: 3 })
  t.match(long.at(-1), { reason: 'length', completion_tokens: 3 })
  const stopped = await ann.events('generate', { prompt: 'a b c d', stop: [' 2:c'] })
  t.equal(stopped.map(e => e.text ?? '').join(''), '0:a 1:b')
  t.match(stopped.at(-1), { reason: 'stop' })
})

t.test('prefix_ids continue an answer only with the digest of the same model', async t => {
  const ann = await (await rig(t)).as('ann')
  const request = { ...ask('a b c d'), prefix_ids: [0, 1], digest: 'echo:1' }
  const events = await ann.events('generate', request)
  t.equal(events.map(e => e.text ?? '').join(''), ' 2:c 3:d')
  const other = await ann.events('generate', { ...request, digest: 'sha256:other' }).catch(e => [{ error: e.message }])
  t.match(other.at(-1), { error: /digest/ })
})

const refused: [string, unknown, RegExp][] = [
  ['text that is not JSON', 'text', /not JSON/],
  ['an unknown key', { ...ask('x'), temprature: 1 }, /unknown key "temprature"; keys: .*temperature/],
  ['a number out of range', { ...ask('x'), temperature: 9 }, /temperature: expected a number from 0 to 5, not 9/],
  [
    'a value that is not a number',
    { ...ask('x'), max_tokens: 'many' },
    /max_tokens: expected a whole number from 1 to \d+, not "many"/,
  ],
  ['neither messages nor prompt', { model: 'echo' }, /request: expected either messages or prompt/],
  ['both', { ...ask('x'), prompt: 'y' }, /expected either messages or prompt/],
  [
    'a strange role',
    { messages: [{ role: 'robot', content: '' }] },
    /role: expected one of system user assistant tool/,
  ],
  ['ids without digest', { ...ask('x'), prefix_ids: [1] }, /digest/],
  ['too many stops', { ...ask('x'), stop: Array(17).fill('s') }, /stop: expected up to 16/],
  ['a model that nobody serves', { ...ask('x'), model: 'gpt-9' }, /no worker serves gpt-9/],
  ['a session that does not exist', { ...ask('x'), session: '77' }, /file does not exist: session\/77/],
]
for (const [name, request, error] of refused)
  t.test(`${name} fails with what would be accepted, and the worker survives`, async t => {
    const ann = await (await rig(t)).as('ann')
    const answer = ann.ask('generate', typeof request === 'string' ? request : JSON.stringify(request))
    const text = await answer.catch((e: Error) => e.message)
    t.match(text, error)
    t.match(await ann.read('error'), error, 'in full in the error file')
    t.equal(await ann.ask('data', 'alive'), '0:alive\n')
  })

t.test('a deadline ends a waiting or running request', async t => {
  const ann = await (await rig(t, () => createEchoEngine({ rate: 50, slots: 1 }))).as('ann')
  const [one, two] = await Promise.all([
    ann.events('generate', { ...ask('w x1000'), deadline_ms: 200 }),
    ann.events('generate', { ...ask('w x1000'), deadline_ms: 100 }),
  ])
  t.match(one.at(-1), { event: 'error', error: 'deadline of 200 ms passed' })
  t.ok((one.at(-1)?.tokens as number) > 0, 'it says how many tokens are good')
  t.match(two.at(-1), { event: 'error', error: 'deadline of 100 ms passed', tokens: 0 })
})

t.test('with keep_s an exchange outlives its fid, and its stream can be read by offset', async t => {
  const ann = await (await rig(t, () => createEchoEngine({ rate: 100 }))).as('ann')
  const fid = await ann.open('generate')
  await fid.write(0, new TextEncoder().encode(JSON.stringify({ ...ask('w x20'), keep_s: 5 })))
  await fid.read(0, 10)
  await fid.clunk()
  const events = ndjson(await ann.read('task/1/stream'))
  t.equal(events.filter(e => e.event === 'token').length, 20)
  t.match(events.at(-1), { event: 'end', reason: 'stop' })
})

t.test('a task with a higher priority goes first', async t => {
  const ann = await (await rig(t, () => createEchoEngine({ rate: 100, slots: 1 }))).as('ann')
  const ended: string[] = []
  const run = (name: string, priority: number) =>
    ann.events('generate', { ...ask(`${name} x5`), priority }).then(() => ended.push(name))
  // keeps the slot busy until all have arrived
  const first = ann.ask('data', 'first x100000')
  first.catch(() => undefined)
  const there = async (n: number) => (await ann.names('task')).length === n
  while (!(await there(1)));
  const both = [run('low', 0), run('high', 5)]
  while (!(await there(3)));
  await ann.write('task/1/ctl', 'cancel')
  await Promise.all(both)
  t.same(ended, ['high', 'low'])
})

t.test('embed returns one vector per text', async t => {
  const ann = await (await rig(t)).as('ann')
  const answer = JSON.parse(await ann.ask('embed', JSON.stringify({ input: ['a', 'b'] })))
  t.match(answer, { model: 'echo', embeddings: [{ length: 64 }, { length: 64 }] })
  await t.rejects(ann.ask('embed', '{"texts":[]}'), { message: /unknown key "texts"; keys: input/ })
})
