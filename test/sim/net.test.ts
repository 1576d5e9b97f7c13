/** The simulated network and virtual time themselves. */
import t from 'tap'
import { sleep } from '../../fs/base/clock.js'
import { Client } from '../../fs/client/client.js'
import type { Opened } from '../../fs/file.js'
import { newQid } from '../../fs/file.js'
import { dir } from '../../fs/kit/dir.js'
import { serve } from '../../fs/server/server.js'
import type { Transport } from '../../fs/transport.js'
import { Process, Timeline } from './clock.js'
import { Net } from './net.js'
import { Random } from './random.js'

function stage(seed = '1') {
  const time = new Timeline()
  const net = new Net(time, new Random(seed))
  const a = new Process(time, 'a', 'alpha')
  const b = new Process(time, 'b', 'beta')
  return { time, net, a, b }
}

/** The two ends of a connection, what each has been told of its close, and what the accepting end has received. */
async function connected(seed?: string) {
  const { time, net, a, b } = stage(seed)
  const told: string[] = []
  const got: Uint8Array[] = []
  let far: Transport | undefined
  net.listen(b, 'there', transport => {
    far = transport
    transport.ondata = chunk => got.push(chunk)
    transport.onclose = reason => told.push(`b ${reason?.message ?? 'end'}`)
  })
  let near: Transport | undefined
  net.dial(a, 'there').then(transport => {
    near = transport
    transport.onclose = reason => told.push(`a ${reason?.message ?? 'end'}`)
  })
  await time.run(100)
  return { time, net, a, b, near: near!, far: far!, told, got }
}

const total = (chunks: readonly Uint8Array[]) => chunks.reduce((n, chunk) => n + chunk.length, 0)
const bytes = (n: number) => Uint8Array.from({ length: n }, (_, i) => i * 7)

t.test('time jumps from event to event, in order, and what an event causes comes before the next event', async t => {
  const time = new Timeline()
  const seen: string[] = []
  time.at(2_000_000, () => seen.push(`late ${time.now}`))
  time.at(5, async () => {
    seen.push('first')
    for (let i = 0; i < 50; i++) await undefined
    seen.push('what it set off')
  })
  time.at(5, () => seen.push('second'))
  const cancel = time.at(6, () => seen.push('cancelled'))
  cancel()
  await time.run(1_000_000)
  t.same(seen, ['first', 'what it set off', 'second'])
  t.equal(time.now, 1_000_000)
  await time.run(3_000_000)
  t.equal(seen.at(-1), 'late 2000000')
})

t.test('an error that an event throws ends the run', async t => {
  const time = new Timeline()
  time.at(1, () => {
    throw new Error('a fault')
  })
  await t.rejects(time.run(10), { message: 'a fault' })
})

t.test('a paused process gets its timers and then the network when it goes on; a killed one gets nothing', async t => {
  const { time, a } = stage()
  const seen: string[] = []
  time.at(10, () => a.pause())
  time.at(20, () => a.arrive(() => seen.push('message')))
  a.after(15, () => seen.push('15'))
  a.after(12, () => seen.push('12'))
  const cancel = a.after(13, () => seen.push('13'))
  time.at(14, cancel)
  time.at(50, () => a.resume())
  await time.run(49)
  t.same(seen, [])
  await time.run(60)
  t.same(seen, ['12', '15', 'message'])
  a.after(10, () => seen.push('never'))
  a.kill()
  a.arrive(() => seen.push('nor this'))
  await time.run(1000)
  t.equal(seen.length, 3)
})

t.test('a timer treats its delay as setTimeout does: whole ms, at least 1, and 1 if it is too long', async t => {
  const { time, a } = stage()
  const at: number[] = []
  for (const ms of [0, 1.9, 2 ** 31]) a.after(ms, () => at.push(time.now))
  await time.run(10)
  t.same(at, [1, 1, 1])
})

t.test('bytes arrive in order, and those that the receiver does not read wait at the sender', async t => {
  const { time, near, far, got } = await connected()
  const sent = bytes(1_000_000)
  let drained = 0
  near.ondrain = () => drained++
  far.pause()
  near.send([[sent.subarray(0, 10), sent.subarray(10)]])
  await time.run(1000)
  t.equal(total(got), 0)
  t.ok(near.queued > 500_000, `${near.queued} wait`)
  t.equal(drained, 0)
  far.resume()
  await time.run(2000)
  t.same(Buffer.concat(got), Buffer.from(sent))
  t.equal(near.queued, 0)
  t.equal(drained, 1)
})

t.test('parts are sent as they are at the time of the call', async t => {
  const { time, near, got } = await connected()
  const part = bytes(100)
  near.send([[part]])
  part.fill(0)
  await time.run(1000)
  t.same(Buffer.concat(got), Buffer.from(bytes(100)))
})

t.test('a close lets queued bytes arrive first; both ends are told once', async t => {
  const { time, near, told, got } = await connected()
  near.send([[bytes(500_000)]])
  near.close()
  await time.run(100_000)
  t.equal(total(got), 500_000)
  t.same([...told].sort(), ['a end', 'b end'])
})

t.test('a process that is killed takes its connections with it', async t => {
  const { time, b, told } = await connected()
  b.kill()
  await time.run(1000)
  t.equal(told.length, 1)
  t.match(told[0], /^a /)
})

t.test('a cut is told to both ends; a cut after N bytes lets no more arrive', async t => {
  const one = await connected()
  for (const connection of one.net.connections) connection.cut()
  await one.time.run(1000)
  t.same(one.told, ['a read ECONNRESET', 'b read ECONNRESET'])
  const other = await connected()
  for (const connection of other.net.connections) connection.cutAfter(connection.accepted, 1234)
  other.near.send([[bytes(1000)]])
  other.near.send([[bytes(1000)]])
  await other.time.run(1000)
  t.equal(other.told.length, 2)
  t.ok(total(other.got) <= 1234)
})

t.test('a partition holds everything back until it heals, and then nothing is missing', async t => {
  const { time, net, a, near, got, told } = await connected()
  net.partition('alpha', 'beta')
  net.partition('beta', 'alpha')
  near.send([[bytes(1000)]])
  near.send([[bytes(2000)]])
  let there = false
  net.dial(a, 'there').then(() => {
    there = true
  })
  await time.run(20_000)
  t.equal(total(got), 0)
  t.same(told, [])
  t.notOk(there)
  net.healAll()
  await time.run(21_000)
  t.same(Buffer.concat(got), Buffer.from([...bytes(1000), ...bytes(2000)]))
  t.ok(there)
})

t.test('both ends notice a partition that lasts by their unanswered pings', async t => {
  const { time, net, near, told, got } = await connected()
  net.partition('alpha', 'beta')
  near.send([[bytes(1000)]])
  await time.run(60_000)
  t.same([...told].sort(), ['a the other end does not answer', 'b the other end does not answer'])
  net.healAll()
  await time.run(61_000)
  t.equal(total(got), 0, 'bytes that were on their way are lost')
})

t.test('a half close is told to one end; the other learns of it when it sends, if at all', async t => {
  const heard = new Set<string>()
  for (let seed = 0; seed < 10; seed++) {
    const { time, net, near, told } = await connected(`${seed}`)
    for (const connection of net.connections) connection.halfClose(connection.accepted)
    await time.run(1000)
    t.same(told, ['b end'])
    near.send([[bytes(10)]])
    await time.run(2000)
    heard.add(told.join())
  }
  t.same([...heard].sort(), ['b end', 'b end,a read ECONNRESET'])
})

t.test('a dial is refused if nobody listens, and can be aborted', async t => {
  const { time, net, a, b } = stage()
  const end = net.listen(b, 'there', () => undefined)
  end()
  const refused = t.rejects(net.dial(a, 'there'), { message: 'cannot reach there' })
  net.partition('alpha', 'alpha')
  const controller = new AbortController()
  const givenUp = t.rejects(net.dial(a, 'elsewhere', controller.signal), { message: 'enough' })
  time.at(50, () => controller.abort(new Error('enough')))
  await time.run(100)
  net.healAll()
  await time.run(200)
  await refused
  await givenUp
})

t.test('9P runs over the network, and the same seed is the same run', async t => {
  const hashes: number[] = []
  for (const seed of ['1', '1', '2']) {
    const { time, net, a, b } = stage(seed)
    const owner = { name: 'me', uid: 1 }
    const opened: Opened = {
      stream: true,
      read: (offset, count) => sleep(b, 5).then(() => bytes(50_000).subarray(offset, offset + count)),
    }
    const file = {
      qid: newQid(),
      attributes: () => ({ mode: 0o444, owner, length: 0, mtime: 0, atime: 0 }),
      open: () => opened,
    }
    const root = dir(new Map([['file', file]]), owner)
    net.listen(b, 'there', transport => {
      serve(transport, { attach: () => ({ root, user: { ...owner, role: 'use' } }), clock: b })
    })
    let read: Uint8Array | undefined
    const use = async () => {
      const client = await Client.connect(await net.dial(a, 'there'), { clock: a })
      read = await (await client.attach({ uname: 'me' })).readFile('file')
      client.close()
    }
    use()
    await time.run(60_000)
    t.same(Buffer.from(read!), Buffer.from(bytes(50_000)))
    t.equal(net.connections.size, 0)
    hashes.push(time.hash)
  }
  t.equal(hashes[0], hashes[1])
  t.not(hashes[0], hashes[2])
})
