/** The memory that a connection keeps is counted, and refused if there is no room for it. */
import t, { type Test } from 'tap'
import { Budget } from '../../cluster/root/budget.js'
import { CONNECTION_BYTES, FID_BYTES, MAX_MSIZE, REQUEST_BYTES } from '../../fs/base/limits.js'
import { Client } from '../../fs/client/client.js'
import { dir } from '../../fs/kit/dir.js'
import { EventLog } from '../../fs/kit/event-log.js'
import { type ServeOptions, serve } from '../../fs/server/server.js'
import { transportPair } from '../../fs/transport/pair.js'
import { pack } from '../../fs/wire/message.js'
import { OREAD } from '../../fs/wire/protocol.js'
import { glenda, options } from './tree.js'

const nobody = { name: '' }

function stage(t: Test, limit: number, more: Partial<ServeOptions> = {}) {
  const budget = new Budget({ limit })
  const connect = async () => {
    const [ours, theirs] = transportPair()
    const session = serve(theirs, { ...options(), ...more, hold: user => budget.hold(user ?? nobody) })
    const client = await Client.connect(ours, { msize: MAX_MSIZE })
    t.teardown(() => client.close())
    return { ours, client, session }
  }
  return { budget, connect }
}

const settled = () => new Promise(resolve => setTimeout(resolve, 20))

t.test('a connection counts for no user, then for the first that attaches, until it is closed', async t => {
  const { budget, connect } = stage(t, 1e6)
  const { client, session } = await connect()
  t.equal(budget.usedBy(''), CONNECTION_BYTES)
  await client.attach({ uname: 'ann' })
  await client.attach({ uname: 'bob' })
  t.same(
    ['', 'ann', 'bob'].map(name => budget.usedBy(name)),
    [0, CONNECTION_BYTES + FID_BYTES, FID_BYTES],
    'it counts for the first user that attached',
  )
  client.close()
  await session.closed
  t.equal(budget.used, 0)
})

t.test('a connection without room is closed, and an attach without room fails with the reason', async t => {
  const { budget, connect } = stage(t, 100_000)
  const { client } = await connect()
  const other = budget.hold({ name: 'ann' })
  other.grow(50_000)
  await t.rejects(client.attach({ uname: 'ann' }), /^over the memory budget of this server: ann holds /)
  await client.attach({ uname: 'bob' })
  budget.hold({ name: 'carl' }).add(50_000)
  await t.rejects(connect())
})

t.test('a message in pieces is counted, and if there is no room it is refused once it has arrived', async t => {
  const { budget, connect } = stage(t, 2e6)
  const { ours, client } = await connect()
  const root = await client.attach({ uname: 'ann' })
  const before = budget.used
  const whole = pack({ type: 'Twrite', tag: 777, fid: 99, offset: 0n, data: new Uint8Array(500_000) }, '9P2000.u')
  ours.send([[whole.slice(0, 3), whole.slice(3, 9), whole.slice(9, 100_000)]])
  await settled()
  t.ok(budget.used - before >= 100_000, `${budget.used - before} are counted`)
  ours.send([[whole.slice(100_000)]])
  await t.rejects(
    client.closed.then(why => Promise.reject(why)),
    /tag 777/,
    'the client gets an unexpected reply, so the message was served',
  )
  await settled()
  t.equal(budget.used, 0)

  const full = await connect()
  const again = await full.client.attach({ uname: 'ann' })
  const rest = budget.hold({ name: 'ann' })
  rest.grow(1_000_000)
  const file = await again.walk(['queue'])
  await file.open(1)
  await t.rejects(file.write(0, new Uint8Array(600_000)), /^over the memory budget of this server: ann holds /)
  rest.free()
  t.equal(await file.write(0, new Uint8Array(1000)), 1000, 'the next write succeeds')
  t.ok(root)
})

t.test('a long message is not kept before a user has attached', async t => {
  const { budget, connect } = stage(t, 1e9)
  const { ours } = await connect()
  const whole = pack({ type: 'Twrite', tag: 7, fid: 99, offset: 0n, data: new Uint8Array(900_000) }, '9P2000.u')
  for (let at = 0; at < 800_000; at += 50_000) ours.send([[whole.slice(at, at + 50_000)]])
  await settled()
  t.equal(budget.used, CONNECTION_BYTES)
})

t.test('waiting requests are counted, and those without room are refused', async t => {
  const { budget, connect } = stage(t, 2e6)
  const { client } = await connect()
  const root = await client.attach({ uname: 'ann' })
  const queue = await root.walk(['queue'])
  await queue.open(OREAD)
  const before = budget.usedBy('ann')
  const stop = new AbortController()
  const ends = { refused: 0, interrupted: 0 }
  const reads = Array.from({ length: 1000 }, () =>
    queue.read(0, 10, stop.signal).catch(error => {
      if (/memory budget/.test(error.message)) ends.refused++
      else ends.interrupted++
    }),
  )
  while (ends.refused === 0) await settled()
  await root.stat()
  t.ok(ends.refused > 100, `${ends.refused} are refused`)
  t.ok(budget.usedBy('ann') - before >= (1000 - ends.refused) * REQUEST_BYTES)
  stop.abort()
  await Promise.all(reads)
  await root.stat()
  t.equal(budget.usedBy('ann'), before)
})

t.test('the bytes to which a reader of events can seek back are counted', async t => {
  const feed = new EventLog()
  for (let i = 0; i < 100; i++) feed.add('test', { text: 'x'.repeat(200) })
  const root = dir(new Map([['event', feed.stream(glenda, 0o444)]]), glenda)
  const { budget, connect } = stage(t, 1e6, {
    attach: ({ uname }) => ({ root, user: { name: uname, uid: 1, role: 'use' } }),
  })
  const { client } = await connect()
  const file = await (await client.attach({ uname: 'ann' })).walk(['event'])
  await file.open(OREAD)
  const before = budget.used
  const given = await file.read(0, 1e6)
  t.ok(given.length > 20_000)
  t.equal(budget.used - before, given.length)
  await file.clunk()
  t.equal(budget.used, before - FID_BYTES)
})
