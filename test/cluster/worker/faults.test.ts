/** Tests of the faults that a worker must survive. */
import t, { type Test } from 'tap'
import { fail } from '../../../api/errors.js'
import * as limits from '../../../cluster/root/limits.js'
import { createEchoEngine } from '../../../cluster/worker/engine/echo.js'
import type { Engine } from '../../../cluster/worker/engine/engine.js'
import { Loader } from '../../../cluster/worker/loader.js'
import { OWRITE } from '../../../fs/wire/protocol.js'
import { readAll, rig } from './fixture.js'

const bytes = (text: string) => new TextEncoder().encode(text)
const later = (ms: number) => new Promise(resolve => setTimeout(resolve, ms))

/** Reads a file until it contains those words. The time limit of the test ends it. */
async function says(reader: { read(path: string): Promise<string> }, path: string, words: RegExp): Promise<void> {
  while (!words.test(await reader.read(path).catch(() => ''))) await later(5)
}

/** Collects the errors that would have ended the process. */
function unhandled(t: Test): unknown[] {
  const out: unknown[] = []
  const note = (error: unknown) => out.push(error)
  process.on('unhandledRejection', note)
  t.teardown(() => process.off('unhandledRejection', note))
  return out
}

const echo = (of: Partial<Engine> = {}, name = 'echo'): Engine => {
  const engine = createEchoEngine({ slots: 2, rate: 200 })
  return { ...engine, model: { ...engine.model, name }, ...of }
}

t.test('a stopped turn that does not fit in a full history does not end the process, and frees its slot', async t => {
  const lost = unhandled(t)
  const ann = await (await rig(t, () => echo())).as('ann')
  const s = `session/${await ann.session()}`
  const content = 'x'.repeat(limits.MAX_HISTORY - 100)
  await ann.write(`${s}/history`, `${JSON.stringify({ role: 'user', content })}\n`)
  const fid = await ann.open(`${s}/data`)
  await fid.write(0, bytes(`${'y'.repeat(200)} x900`))
  await fid.read(0, 10)
  await ann.write(`${s}/ctl`, 'cancel\n')
  await says(ann, 'status', / active=0 /)
  t.same(lost, [])
  t.match(await ann.read('error'), /file too large: history/)
  await t.rejects(readAll(fid), { message: 'cancelled' })
  t.match(await ann.read(`${s}/status`), /state=idle .*messages=1 /)
})

t.test('a turn cancelled while it waits does not let later turns overtake earlier ones', async t => {
  const ann = await (await rig(t, () => echo())).as('ann')
  const s = `session/${await ann.session()}`
  const first = ann.ask(`${s}/data`, 'a x400')
  await says(ann, 'status', / active=1 /)
  const second = ann.ask(`${s}/data`, 'b')
  await says(ann, 'task/2/status', /state=queued/)
  const third = ann.ask(`${s}/data`, 'c')
  await says(ann, 'task/3/status', /state=queued/)
  await ann.write('task/2/ctl', 'cancel\n')
  await t.rejects(second, { message: 'cancelled' })
  await later(20)
  t.match(await ann.read('task/3/status'), /state=queued/)
  await first
  t.equal(await third, '0:c\n')
  t.match(await ann.read(`${s}/history`), /a x400[\s\S]*"content":"c"/)
})

t.test('a prompt written before a session was closed is refused', async t => {
  const ann = await (await rig(t)).as('ann')
  const s = `session/${await ann.session()}`
  const fid = await ann.open(`${s}/data`)
  await fid.write(0, bytes('hello'))
  await (await ann.root.walk(s.split('/'))).remove()
  await t.rejects(readAll(fid), { message: 'file does not exist: session/1 is closed' })
  t.match(await ann.read('task/1/status'), /state=failed/)
})

t.test("a failed turn of a session is in the user's error file even if nobody reads the answer", async t => {
  const ann = await (await rig(t)).as('ann')
  const s = `session/${await ann.session()}`
  await ann.write(`${s}/ctl`, 'schema {}\n')
  await ann.write(`${s}/data`, 'hello')
  await says(ann, 'error', /schema: engine echo/)
  t.pass('it is there')
})

t.test('system and history do not change if they are closed while a turn runs', async t => {
  const ann = await (await rig(t, () => echo())).as('ann')
  const s = `session/${await ann.session()}`
  const system = await ann.open(`${s}/system`, OWRITE)
  await system.write(0, bytes('be brief'))
  // the turn runs until it is cancelled, however busy the machine
  const turn = ann.ask(`${s}/data`, 'a x9000')
  await says(ann, 'status', / active=1 /)
  await t.rejects(system.clunk(), { message: /^session busy/ })
  t.equal(await ann.read(`${s}/system`), '')
  await ann.write(`${s}/ctl`, 'cancel\n')
  await t.rejects(turn, { message: 'cancelled' })
})

t.test('text that is not UTF-8 does not replace the system prompt', async t => {
  const ann = await (await rig(t)).as('ann')
  const s = `session/${await ann.session()}`
  await ann.write(`${s}/system`, 'be brief\n')
  const fid = await ann.open(`${s}/system`, OWRITE)
  await fid.write(0, bytes('be '))
  await t.rejects(fid.write(3, Uint8Array.of(0xff)), { message: /not UTF-8/ })
  await t.rejects(fid.write(3, bytes('long')), { message: /not UTF-8/ }, 'nor does the text after it')
  await fid.clunk()
  t.equal(await ann.read(`${s}/system`), 'be brief\n')
})

t.test('vectors that are too large for an answer are an error', async t => {
  const lost = unhandled(t)
  const embed = async (texts: readonly string[]) => texts.map(() => new Float32Array(2 ** 20).fill(0.123456789))
  const ann = await (await rig(t, () => echo({ embed }))).as('ann')
  await t.rejects(ann.ask('embed', '{"input":["a","b"]}'), { message: /^file too large/ })
  t.same(lost, [])
})

t.test('an engine that fails to close does not end the process', async t => {
  const lost = unhandled(t)
  let fails = true
  const close = async () => {
    if (fails) throw fail('io', 'stuck')
  }
  const r = await rig(t, () => echo({ close }))
  const root = await r.as('root')
  await r.load('echo')
  await later(10)
  fails = false
  t.same(lost, [])
  t.match(await root.read('status'), /state=idle/)
})

t.test('a load that finishes after close frees its engine', async t => {
  let closed = 0
  const open = async () => {
    await later(20)
    return echo({
      close: async () => {
        closed++
      },
    })
  }
  const loader = new Loader(open, { slots: 1 }, () => undefined)
  const load = t.rejects(loader.load('m'), { message: 'shutting down' })
  await loader.close()
  await load
  t.equal(loader.current, undefined)
  t.equal(closed, 1)
})

t.test('settings changed during the first load are refused rather than lost', async t => {
  const loader = new Loader(
    async () => {
      await later(10)
      return echo()
    },
    { slots: 1 },
    () => undefined,
  )
  const load = loader.load('m')
  await t.rejects(loader.set({ slots: 8 }), { message: /is being loaded/ })
  await load
})

t.test('a request runs on the model it asked for, or not at all', async t => {
  const r = await rig(t, model => echo({}, model), 'one')
  const ann = await r.as('ann')
  const long = [ann.ask('data', 'a x400'), ann.ask('data', 'a x400')]
  await says(ann, 'status', / active=2 /)
  const ask = { messages: [{ role: 'user', content: 'hi' }], model: 'one' }
  const waits = ann.events('generate', ask)
  await later(30)
  await Promise.all([r.load('two'), ...long])
  t.match((await waits).at(-1), { event: 'error', error: /^no worker serves one; loaded: two/ })
  t.match((await ann.events('generate', { ...ask, model: 'two' })).at(-1), { event: 'end' })
})

t.test('a request for the model that is being loaded waits for it', async t => {
  const r = await rig(
    t,
    async model => {
      await later(model === 'two' ? 50 : 0)
      return echo({}, model)
    },
    'one',
  )
  const ann = await r.as('ann')
  const load = r.load('two')
  const events = await ann.events('generate', { messages: [{ role: 'user', content: 'hi' }], model: 'two' })
  await load
  t.match(
    events.find(e => e.event === 'start'),
    { model: 'two' },
  )
})

t.test('events, which everybody can read, quote nothing that a user wrote', async t => {
  const generate = () => {
    throw fail('badArgument', 'schema: my secret plan')
  }
  const r = await rig(t, () => echo({ generate }))
  const ann = await r.as('ann')
  await t.rejects(ann.ask('data', 'hi'), { message: 'bad argument: schema: my secret plan' })
  const bob = await (await r.as('bob')).open('event', 0)
  const lines = new TextDecoder().decode(await bob.read(0, 65536))
  t.match(lines, /kind=task-failed task=1 user=ann error=/)
  t.notMatch(lines, /plan/)
})

t.test('turns that wait for an earlier turn of their session count as queued', async t => {
  // the first turn takes longer than the writes of the others, however slow the machine
  const ann = await (await rig(t, () => createEchoEngine({ slots: 2, rate: 1 }))).as('ann')
  const s = `session/${await ann.session()}`
  const first = ann.ask(`${s}/data`, 'a x900')
  await says(ann, 'status', / active=1 /)
  for (let i = 0; i < limits.MAX_QUEUE; i++) await ann.write(`${s}/data`, 'b')
  await t.rejects(ann.write(`${s}/data`, 'one too many'), { message: /^queue full, retry after \d+ s/ })
  const ended = t.rejects(first, { message: 'cancelled' })
  await ann.write(`${s}/ctl`, 'cancel\n')
  await ended
  t.equal(await ann.ask(`${s}/data`, 'c'), '0:c\n')
})

t.test('at shutdown a turn of a session ends with `shutting down`, like any exchange', async t => {
  const r = await rig(t, () => echo())
  const ann = await r.as('ann')
  const turn = ann.ask(`session/${await ann.session()}/data`, 'a x900')
  const ended = t.rejects(turn, { message: 'shutting down' })
  await says(ann, 'status', / active=1 /)
  await r.close()
  await ended
})
