/**
 * Memory that a session or a task keeps is counted for as long as it is kept, whatever happens to its files meanwhile.
 */
import t, { type Test } from 'tap'
import { Budget } from '../../cluster/root/budget.js'
import { ORDWR, OREAD } from '../../fs/wire/protocol.js'
import { rig, type Shape, until } from './orchestrator/fixture.js'

const KB = 1000

/** A session of ann's, and how many kB are counted for her. */
async function session(t: Test, shape: Shape = {}) {
  const budget = new Budget({ limit: 100_000 * KB })
  const cluster = await rig(t, [shape], { budget })
  const ann = await cluster.as('ann')
  const id = await ann.session()
  const create = async (name: string) => {
    const fid = await ann.root.walk(['session', id])
    await fid.create(name, 0o600, ORDWR)
    await fid.write(0, Buffer.alloc(500 * KB, 'x'))
    return fid
  }
  const walk = (name: string) => ann.root.walk(['session', id, name])
  return { ann, id, create, walk, counted: () => Math.floor(budget.usedBy('ann') / KB) }
}

t.test('a file made beside a session’s own still counts after it is renamed', async t => {
  const { create, walk, counted } = await session(t)
  await (await create('new')).clunk()
  t.ok(counted() >= 500)
  await (await walk('new')).wstat({ name: 'other' })
  t.ok(counted() >= 500, `${counted()} kB are counted`)
  await (await create('second')).clunk()
  t.ok(counted() >= 1000)
  await (await walk('second')).wstat({ name: 'other' })
  t.ok(counted() >= 500 && counted() < 600, `the second has replaced the first: ${counted()} kB are counted`)
})

t.test('a file that is removed while it is open is empty from then on, and takes no writes', async t => {
  const { create, walk, counted } = await session(t)
  const open = await create('new')
  await (await walk('new')).remove()
  t.ok(counted() < 100, `${counted()} kB are counted`)
  t.equal((await open.read(0, KB)).length, 0)
  await t.rejects(open.write(0, Buffer.alloc(500 * KB)), {
    message: 'file does not exist: it was removed while it was open',
  })
})

t.test('a closed session keeps nothing in files that are still open, and takes no writes', async t => {
  const { ann, id, create, walk, counted } = await session(t)
  const scratch = await create('new')
  const dir = await ann.root.walk(['session', id])
  const line = `${JSON.stringify({ role: 'user', content: 'y'.repeat(500 * KB) })}\n`
  const history = await (await walk('history')).open(ORDWR)
  await history.write(0, Buffer.from(line))
  const system = await (await walk('system')).open(ORDWR)
  const ctl = await (await walk('ctl')).open(ORDWR)
  t.ok(counted() >= 1000)
  await ann.write(`session/${id}/ctl`, 'close\n')
  t.ok(counted() < 100, `${counted()} kB are counted`)
  t.equal((await scratch.read(0, KB)).length, 0)
  const closed = { message: /^file does not exist/ }
  await t.rejects(scratch.write(0, Buffer.alloc(KB)), closed)
  await t.rejects(dir.create('more', 0o600, ORDWR), closed)
  await t.rejects(history.write(0, Buffer.from(line)), closed)
  await t.rejects(system.write(0, Buffer.from('be brief')), closed)
  await t.rejects(ctl.write(0, Buffer.from(`schema '{"type":"object"}'\n`)), closed)
})

t.test('a removed task keeps nothing of its request in files that are still open', async t => {
  const { ann, counted } = await session(t)
  await ann.events('generate', { prompt: `a ${'z'.repeat(500 * KB)}`, max_tokens: 1 })
  t.ok(counted() >= 500)
  const files = await Promise.all(['prompt', 'request'].map(name => ann.open(`task/1/${name}`, OREAD)))
  await (await ann.root.walk(['task', '1'])).remove()
  t.ok(counted() < 100, `${counted()} kB are counted`)
  for (const file of files) t.ok((await file.read(0, 1000 * KB)).length < KB)
})

t.test('a task that is removed while it runs keeps nothing of its request once it has ended', async t => {
  const { ann } = await session(t, { rate: 20 })
  const fid = await ann.open('generate')
  await fid.write(0, Buffer.from(JSON.stringify({ prompt: `a ${'z'.repeat(50 * KB)} x1000` })))
  await fid.read(0, KB)
  const request = await ann.open('task/1/request', OREAD)
  await (await ann.root.walk(['task', '1'])).remove()
  await until(async () => (await ann.read('status')).includes(' active=0 '))
  t.ok((await request.read(0, 1000 * KB)).length < KB)
})
