/** Tests of the `session/` directory. */
import t from 'tap'
import {
  FEW_SESSIONS,
  MAX_SESSIONS,
  RESERVED_SESSIONS,
  SESSION_TTL_S,
  UNUSED_TTL_S,
} from '../../../cluster/root/limits.js'
import { createEchoEngine } from '../../../cluster/worker/engine/echo.js'
import { type Clock, systemClock } from '../../../fs/base/clock.js'
import { OTRUNC, OWRITE } from '../../../fs/wire/protocol.js'
import { ndjson, rig } from './fixture.js'

t.test('opening clone makes a session, and the fid becomes its ctl', async t => {
  const ann = await (await rig(t)).as('ann')
  t.same(await ann.names('session'), ['clone'])
  const fid = await ann.open('session/clone')
  t.equal(new TextDecoder().decode(await fid.read(0, 100)), '1\n')
  await fid.write(0, new TextEncoder().encode('max_tokens 3\n'))
  t.same(await ann.names('session'), ['clone', '1'])
  await ann.write('session/1/data', 'w x9')
  t.equal(await ann.read('session/1/data'), '0:w 1:w 2:w\n')
  await fid.clunk()
})

t.test('one user cannot keep others from having sessions', async t => {
  const cluster = await rig(t)
  const [ann, bob] = [await cluster.as('ann'), await cluster.as('bob')]
  const room = MAX_SESSIONS - RESERVED_SESSIONS
  for (let i = 0; i < room; i += 50) await Promise.all(Array.from({ length: 50 }, () => ann.session()))
  await t.rejects(ann.session(), { message: 'too many sessions: rmdir some, or let them expire' })
  for (let i = 0; i < FEW_SESSIONS; i += 50) await Promise.all(Array.from({ length: 50 }, () => bob.session()))
  await t.rejects(bob.session(), { message: /^too many sessions/ })
  t.match(await ann.read('session/1/status'), /^session id=1 user=ann /, 'the user with many sessions keeps them')
})

t.test('a session keeps its history and sends it with each prompt', async t => {
  const ann = await (await rig(t)).as('ann')
  const s = `session/${await ann.session()}`
  await ann.write(`${s}/system`, 'be brief\n')
  t.equal(await ann.ask(`${s}/data`, 'one two\n'), '0:one 1:two\n')
  t.equal(await ann.ask(`${s}/data`, 'three'), '0:three\n')
  t.same(ndjson(await ann.read(`${s}/history`)), [
    { role: 'user', content: 'one two' },
    { role: 'assistant', content: '0:one 1:two' },
    { role: 'user', content: 'three' },
    { role: 'assistant', content: '0:three' },
  ])
  t.match(await ann.read(`${s}/status`), /messages=4 .*prompt_tokens=7/, 'system, three turns and the prompt were sent')
  t.equal(await ann.read(`${s}/log`), 'user: one two\nassistant: 0:one 1:two\n\nuser: three\nassistant: 0:three\n\n')
})

t.test('an empty message has a line of its own in the transcript', async t => {
  const ann = await (await rig(t)).as('ann')
  const s = `session/${await ann.session()}`
  const messages = ['hello', ''].map(content => ({ role: 'user', content }))
  await ann.ask(`${s}/generate`, JSON.stringify({ messages }))
  t.match(await ann.read(`${s}/log`), /^user: \n(assistant: |\n)/)
})

t.test('writing history replaces it with truncation and appends without', async t => {
  const ann = await (await rig(t)).as('ann')
  const s = `session/${await ann.session()}`
  const line = (content: string) => `${JSON.stringify({ role: 'user', content })}\n`
  await ann.write(`${s}/history`, line('a') + line('b'))
  const fid = await ann.open(`${s}/history`, OWRITE)
  await fid.write(0, new TextEncoder().encode(line('c')))
  await fid.clunk()
  t.same(
    ndjson(await ann.read(`${s}/history`)).map(m => m.content),
    ['a', 'b', 'c'],
  )
  const over = await ann.open(`${s}/history`, OWRITE | OTRUNC)
  await over.clunk()
  t.equal(await ann.read(`${s}/history`), '')
  await t.rejects(ann.write(`${s}/history`, 'no json\n'), { message: /history: not JSON/ })
  await t.rejects(ann.write(`${s}/history`, '{"role":"user","content":"x","extra":1}\n'), {
    message: /unknown key "extra"/,
  })
})

t.test('prompts in one session run in order, and history is busy meanwhile', async t => {
  const ann = await (await rig(t, () => createEchoEngine({ rate: 100, slots: 2 }))).as('ann')
  const s = `session/${await ann.session()}`
  const first = ann.ask(`${s}/data`, 'a x200')
  const second = ann.ask(`${s}/data`, 'b')
  await ann.read(`${s}/status`)
  await t.rejects(ann.write(`${s}/history`, '{}'), { message: /^session busy/, errno: 16 })
  await t.rejects(ann.write(`${s}/system`, 'x'), { message: /^session busy/ })
  await t.rejects(ann.write(`${s}/ctl`, 'reset'), { message: /^session busy/ })
  await Promise.all([first, second])
  t.same(
    ndjson(await ann.read(`${s}/history`))
      .map(m => m.content)
      .filter((_, i) => i % 2 === 0),
    ['a x200', 'b'],
  )
})

t.test('a cancelled answer stays, marked as stopped, and a failed turn is not added', async t => {
  const ann = await (await rig(t, () => createEchoEngine({ rate: 100 }))).as('ann')
  const s = `session/${await ann.session()}`
  await ann.write(`${s}/data`, 'a x1000')
  const fid = await ann.open(`${s}/data`, 0)
  await fid.read(0, 1)
  await ann.write(`${s}/ctl`, 'cancel')
  await t.rejects(ann.read(`${s}/data`), { message: 'cancelled', errno: 125 })
  await fid.clunk()
  t.match(ndjson(await ann.read(`${s}/history`)), [{ role: 'user' }, { role: 'assistant', stopped: true }])
  await t.rejects(ann.write(`${s}/data`, 'x'.repeat(2 ** 20 + 1)), { message: /prompt too long/ })
  t.equal(ndjson(await ann.read(`${s}/history`)).length, 2)
})

t.test('other users cannot find a session, and its owner removes it like a directory', async t => {
  const llambo = await rig(t)
  const [ann, bob] = [await llambo.as('ann'), await llambo.as('bob')]
  const id = await ann.session()
  t.same(await bob.names('session'), ['clone'])
  await t.rejects(bob.read(`session/${id}/history`), { message: 'file does not exist' })
  await t.rejects(bob.ask('generate', JSON.stringify({ session: id, messages: [] })), {
    message: /file does not exist/,
  })
  const file = await ann.root.walk(['session', id, 'history'])
  await file.remove()
  t.equal(await ann.read(`session/${id}/history`), '', 'removing a file of it has no effect')
  await (await ann.root.walk(['session', id])).remove()
  t.same(await ann.names('session'), ['clone'])
})

t.test('an unknown model is refused at the first write', async t => {
  const ann = await (await rig(t)).as('ann')
  const id = await ann.session()
  await ann.write(`session/${id}/ctl`, 'model none')
  const fid = await ann.open(`session/${id}/data`)
  await t.rejects(fid.write(0, new TextEncoder().encode('hello')), { message: /^no worker serves none/ })
  await fid.clunk()
  await t.rejects(ann.read(`session/${id}/data`), { message: /^no worker serves none/ }, 'and is the newest exchange')
  await ann.write(`session/${id}/ctl`, "model ''")
  t.equal(await ann.ask(`session/${id}/data`, 'hello'), '0:hello\n')
})

t.test(
  'a session whose number was only read is not listed until somebody uses it, and ends after a minute',
  async t => {
    const waits: number[] = []
    const clock: Clock = {
      ...systemClock,
      after(ms, call, idle) {
        waits.push(ms)
        return systemClock.after(ms, call, idle)
      },
    }
    const ann = await (await rig(t, undefined, 'echo', clock)).as('ann')
    const [unused, used] = [await ann.session(), await ann.session()]
    t.same(await ann.names('session'), ['clone'])
    t.equal(waits.at(-1), UNUSED_TTL_S * 1000)
    await ann.write(`session/${used}/data`, 'hi')
    t.same(await ann.names('session'), ['clone', used])
    await ann.read(`session/${used}/data`)
    t.equal(waits.at(-1), SESSION_TTL_S * 1000)
    await ann.read(`session/${unused}/status`)
    t.same(await ann.names('session'), ['clone', unused, used], 'it can be found by its number')
  },
)

t.test('a session without open files lives for its ttl', async t => {
  const ann = await (await rig(t)).as('ann')
  const id = await ann.session()
  const held = await ann.open(`session/${id}/status`, 0)
  await ann.write(`session/${id}/ctl`, 'ttl 0')
  await new Promise(resolve => setTimeout(resolve, 30))
  t.same(await ann.names('session'), ['clone', id], 'an open file keeps it alive')
  await held.clunk()
  await new Promise(resolve => setTimeout(resolve, 30))
  t.same(await ann.names('session'), ['clone'])
  await t.rejects(ann.write(`session/${id}/ctl`, 'ttl 5'), { message: 'file does not exist' })
})

t.test('ctl reads back as the commands that would set it', async t => {
  const ann = await (await rig(t)).as('ann')
  const [a, b] = [await ann.session(), await ann.session()]
  const text = `model 'my model'\ntemperature 0.2\nstop a 'it''s b'\nschema '{"type":"object"}'\nttl 60\n`
  await ann.write(`session/${a}/ctl`, text)
  t.equal(await ann.read(`session/${a}/ctl`), text)
  await ann.write(`session/${b}/ctl`, await ann.read(`session/${a}/ctl`))
  t.equal(await ann.read(`session/${b}/ctl`), text)
  await t.rejects(ann.write(`session/${b}/ctl`, `schema ${'['.repeat(5000)}${']'.repeat(5000)}`), {
    message:
      /^bad argument: schema: lists and objects are nested over 256 deep; expected a JSON schema in single quotes/,
  })
})
