/** Tests the requests of `generate` and `embed`: what clients write is what servers parse, and the documents say the same. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { embedText, parseEmbedRequest } from '../../api/embed.js'
import {
  messageLine,
  parseMessageLine,
  parseRequest,
  plainRequest,
  requestJson,
  requestKeys,
  requestText,
} from '../../api/request.js'
import { defaults, samplingNames } from '../../api/sampling.js'

const bad = (why: string | RegExp) => ({
  message: typeof why === 'string' ? `bad argument: ${why}` : why,
  errno: 22,
})
const hi = { messages: [{ role: 'user' as const, content: 'hi' }] }

t.test('what a client writes is what a server parses', async t => {
  const text = requestText({ ...hi, model: 'm', temperature: 0, stop: ['x'], keep_s: 60, priority: -5 })
  t.same(parseRequest(text), {
    ...plainRequest(hi.messages),
    generate: { ...hi, temperature: 0, stop: ['x'] },
    model: 'm',
    priority: -5,
    keep_s: 60,
  })
  const whole = {
    ...hi,
    model: 'm',
    stop: ['x'],
    schema: { type: 'object' },
    tools: [{ name: 'f', description: 'd', parameters: { type: 'object' } }],
    session: '7',
    type: 'code',
    model_hint: 'n',
    priority: 1,
    deadline_ms: 1000,
    keep_s: 5,
    prefix_ids: [1, 2],
    digest: 'sha256:ab',
    via: [{ cluster: 'c', task: '1', attempt: 1, session: '2', given: 'a', proof: '0f'.repeat(32) }],
    temperature: 1,
    top_p: 0.5,
    top_k: 1,
    min_p: 0.1,
    seed: 3,
    max_tokens: 4,
  }
  const parsed = parseRequest(requestText(whole))
  t.same(JSON.parse(requestJson(parsed, {})), whole)
  t.same([...Object.keys(whole), 'prompt'].sort(), [...requestKeys].sort(), 'every key is tried here')
})

t.test('a key that is not in the table cannot be written', async t => {
  // @ts-expect-error a misspelt key
  requestText({ ...hi, temprature: 1 })
  // @ts-expect-error a value of another type
  requestText({ ...hi, max_tokens: '64' })
  // @ts-expect-error a role that there is not
  requestText({ messages: [{ role: 'robot', content: 'hi' }] })
  // @ts-expect-error a misspelt key of embed
  embedText({ texts: ['a'] })
  t.pass('it does not compile')
})

t.test('null counts as missing, one stop string as a list, and a number as text for a number', async t => {
  const text = `{"messages":[{"role":"user","content":"hi","stopped":false}],"model":null,"stop":"x","top_k":"5","session":7}`
  t.same(parseRequest(text), {
    ...plainRequest(hi.messages),
    generate: { ...hi, stop: ['x'], top_k: 5 },
    session: '7',
  })
  t.equal(parseRequest('{"prompt":""}').generate.prompt, '', 'an empty text is not missing')
  const tool = { name: 'f', parameters: {} }
  const wrapped = { ...hi, tools: [{ type: 'function', function: tool }] }
  t.same(parseRequest(JSON.stringify(wrapped)).generate.tools, [tool])
})

t.test('a request out of bounds is refused with the name of the value and what it may be', async t => {
  const via = { cluster: 'c', task: '1', attempt: 1 }
  const refused: readonly (readonly [object, RegExp])[] = [
    [{ ...hi, 'temprature\u001b': 1 }, /^bad argument: request: unknown key "temprature.*"; keys: .*temperature/],
    [{ ...hi, temperature: 9 }, /^bad argument: temperature: expected a number from 0 to 5, not 9$/],
    [{ ...hi, seed: 0.5 }, /^bad argument: seed: expected a whole number from 0 to 4294967295, not 0.5$/],
    [{ ...hi, stop: [''] }, /^bad argument: stop: expected strings of 1 to 256 characters$/],
    [{ ...hi, schema: [] }, /^bad argument: schema: expected an object, not a list$/],
    [{ messages: [hi.messages[0], { role: 'user' }] }, /^bad argument: messages\[1\]: content: expected a string/],
    [{ messages: [{ role: 'user', content: '', x: 1 }] }, /^bad argument: messages\[0\]: unknown key "x"; keys: role/],
    [{ messages: Array(10_001).fill(hi.messages[0]) }, /^bad argument: messages: 10001 items, at most 10000$/],
    [{ ...hi, via: [{ ...via, task: 'a/b' }] }, /^bad argument: via\[0\]: task: expected a number, not "a\/b"$/],
    [{ ...hi, via: [{ ...via, colour: 1 }] }, /^bad argument: via\[0\]: unknown key "colour"/],
    [{ ...hi, tools: [{ name: 1 }] }, /^bad argument: tools\[0\]: name: expected a string/],
    [{ ...hi, prefix_ids: [1] }, /digest is missing/],
    [{ prompt: 'x', session: '1' }, /a session accepts messages only/],
    [{ model: 'x' }, /expected either messages or prompt/],
    [[], /^bad argument: request: expected an object, not a list$/],
  ]
  for (const [request, why] of refused)
    t.throws(() => parseRequest(JSON.stringify(request)), bad(why), JSON.stringify(request).slice(0, 80))
  t.throws(() => parseRequest('x'), bad(/not JSON/))
  t.throws(() => parseRequest('{"__proto__":{}}'), bad(/unknown key "__proto__"/))
  const stopped = { role: 'user', content: '', stopped: true } as const
  t.same(parseMessageLine(messageLine(stopped)), stopped)
  const robot = () => parseMessageLine('{"role":"robot"}')
  t.throws(robot, bad(/^bad argument: history: role: expected one of system /))
  t.throws(() => parseMessageLine('{'), bad(/^bad argument: history: not JSON: /))
})

t.test('embed takes a text or up to 512, and nothing else', async t => {
  t.same(parseEmbedRequest(embedText({ input: ['a', 'b'], model: 'm' })), { input: ['a', 'b'], model: 'm' })
  t.same(parseEmbedRequest('{"input":"a"}'), { input: ['a'] })
  for (const input of [[], [1], 1, null, Array(513).fill('a')])
    t.throws(
      () => parseEmbedRequest(JSON.stringify({ input })),
      bad('input: expected a text, or a list of 1 to 512 texts'),
    )
  t.throws(() => parseEmbedRequest('{"texts":[]}'), bad('request: unknown key "texts"; keys: input model'))
  t.throws(() => parseEmbedRequest('{"input":"a","model":1}'), bad('model: expected a name'))
  t.throws(() => parseEmbedRequest('x'), bad(/not JSON/))
})

t.test('docs/files.md lists the keys of a request, and the defaults of its settings', async t => {
  const docs = readFileSync(new URL('../../../docs/files.md', import.meta.url), 'utf8')
  const [, from = ''] = docs.split('\n## generate\n')
  const rows = from.slice(from.indexOf('| key | value |'), from.indexOf('An unknown key fails')).split('\n')
  const listed = rows.flatMap(row => [...(row.split('|')[1]?.matchAll(/`(\w+)`/g) ?? [])].map(([, key]) => key))
  t.same(listed.sort(), [...requestKeys].sort())
  const initial = samplingNames.filter(name => name !== 'stop').map(name => defaults[name] ?? 'random')
  t.ok(docs.includes(`(${initial.join(', ')};`), initial.join(', '))
})
