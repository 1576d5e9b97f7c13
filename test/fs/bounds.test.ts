/** The bounds of one connection, tested with clients that exceed them. */
import { setMaxListeners } from 'node:events'
import t, { type Test } from 'tap'
import type { FsError } from '../../fs/base/errors.js'
import * as limits from '../../fs/base/limits.js'
import { Client, type Fid } from '../../fs/client/client.js'
import { type ServeOptions, serve } from '../../fs/server/server.js'
import { transportPair } from '../../fs/transport/pair.js'
import type { Transport } from '../../fs/transport.js'
import { pack } from '../../fs/wire/message.js'
import { ORDWR, OREAD } from '../../fs/wire/protocol.js'
import { ways } from './over.js'
import { options } from './tree.js'

// the server's time limits alone do not keep the process alive
const alive = setInterval(() => {}, 1000)
t.teardown(() => clearInterval(alive))

/** Serves the tree to a client with the largest msize. */
async function attached(t: Test): Promise<{ root: Fid; ours: Transport; theirs: Transport }> {
  const [ours, theirs] = transportPair()
  serve(theirs, options())
  const client = await Client.connect(ours, { msize: limits.MAX_MSIZE })
  t.teardown(() => client.close())
  return { root: await client.attach({ uname: 'glenda' }), ours, theirs }
}

t.test(
  `of 5,000 fids ${limits.MAX_FIDS} are granted, these keep working, and a clunk makes room for another`,
  async t => {
    const { root } = await attached(t)
    const results = await Promise.allSettled(Array.from({ length: 5000 }, () => root.walk(['hello'])))
    const fids = results.flatMap(r => (r.status === 'fulfilled' ? [r.value] : []))
    const errors = results.flatMap(r => (r.status === 'rejected' ? [r.reason as FsError] : []))
    t.equal(fids.length, limits.MAX_FIDS - 1, 'the root has a fid, too')
    t.ok(errors.every(error => error.message === 'too many fids on one connection' && error.errno === 24))
    t.match(await fids[77]!.stat(), { name: 'hello' })
    await fids[0]!.clunk()
    await root.walk(['hello'])
    await t.rejects(root.walk(['hello']), { message: 'too many fids on one connection' })
  },
)

t.test('no user takes all fids of a shared connection, and a user with few can always get some', async t => {
  const { root } = await attached(t)
  const bob = await (root.client as Client).attach({ uname: 'bob' })
  const take = async (from: Fid) => {
    const results = await Promise.allSettled(Array.from({ length: 5000 }, () => from.walk(['hello'])))
    return results.flatMap(r => (r.status === 'fulfilled' ? [r.value] : []))
  }
  const half = (await take(root)).length
  t.ok(half <= limits.MAX_FIDS / 2, `${half} of ${limits.MAX_FIDS} are one user's`)
  t.ok((await take(bob)).length > half / 3, 'another user gets a share')
  const alone = await attached(t)
  await take(alone.root)
  const late = await (alone.root.client as Client).attach({ uname: 'late' })
  await late.walk(['hello'])
  t.ok((await take(late)).length < limits.LITTLE_FIDS, 'a late user gets a few of the reserve')
})

t.test(
  `of 5,000 requests ${limits.MAX_OUTSTANDING} wait, the rest fail at once, and flushes still get through`,
  async t => {
    const { root } = await attached(t)
    const queue = await (await root.walk(['queue'])).open(ORDWR)
    const stop = new AbortController()
    setMaxListeners(0, stop.signal) // one for each of the thousands of requests
    let refused = 0
    const reads = Array.from({ length: 5000 }, () =>
      queue.read(0, 10, stop.signal).catch((error: FsError) => {
        if (error.is('tooManyRequests')) refused++
        return error
      }),
    )
    while (refused < 5000 - limits.MAX_OUTSTANDING) await new Promise(resolve => setImmediate(resolve))
    await t.rejects(root.stat(), { message: 'too many requests outstanding', errno: 11 })
    stop.abort()
    const ended = await Promise.all(reads)
    t.equal(ended.filter(e => (e as FsError).is('interrupted')).length, limits.MAX_OUTSTANDING)
    t.equal(refused, 5000 - limits.MAX_OUTSTANDING)
    t.match(await root.stat(), { name: '/' }, 'requests succeed again after the flushes')
  },
)

/** A server whose client opens a file of 1 MB and requests it 200 times without reading a reply. */
async function deaf(name: string, t: Test, times: NonNullable<ServeOptions['times']>) {
  let theirs!: Transport
  let closed = false
  const way = await ways[name]!(transport => {
    theirs = transport
    serve(transport, { ...options(), times }).closed.then(() => {
      closed = true
    })
  })
  t.teardown(() => way.close())
  const ours = await way.dial()
  const client = await Client.connect(ours, { msize: limits.MAX_MSIZE })
  const root = await client.attach({ uname: 'glenda' })
  const file = await (await root.walk(['ram'])).create('large', 0o644, ORDWR)
  await file.write(0, new Uint8Array(1_000_000))
  client.closed.catch(() => {})
  ours.pause()
  const reads = Array.from({ length: 200 }, () => file.read(0, 1_000_000))
  const answered = Promise.allSettled(reads)
  return { ours, client, answered, queued: () => theirs.queued, isClosed: () => closed }
}

for (const name of Object.keys(ways)) {
  t.test(`over ${name}: unread replies are bounded, and all of them arrive when the client reads again`, async t => {
    const { ours, client, answered, queued } = await deaf(name, t, {})
    let most = 0
    for (let i = 0; i < 20; i++) {
      await new Promise(resolve => setTimeout(resolve, 10))
      most = Math.max(most, queued())
    }
    // a reply is sent as long as there is any room
    t.ok(most > 0 && most <= limits.MAX_QUEUED + limits.MAX_MSIZE, `${most} bytes at most`)
    ours.resume()
    const results = await answered
    t.ok(results.every(r => r.status === 'fulfilled' && r.value.length === 1_000_000))
    client.close()
  })

  t.test(`over ${name}: a client that never reads its replies is disconnected`, async t => {
    const { client, answered, isClosed } = await deaf(name, t, { queued: 100 })
    for (let i = 0; !isClosed() && i < 500; i++) await new Promise(resolve => setTimeout(resolve, 10))
    t.ok(isClosed())
    client.close()
    t.ok((await answered).some(r => r.status === 'rejected'))
  })

  t.test(`over ${name}: an impossible size ends the connection`, async t => {
    let sessions = 0
    const way = await ways[name]!(transport => {
      sessions++
      serve(transport, options()).closed.then(() => {
        sessions--
      })
    })
    t.teardown(() => way.close())
    for (const size of [0, 6, 8193, 2 ** 31, 2 ** 32 - 1]) {
      const transport = await way.dial()
      const closed = new Promise(resolve => {
        transport.onclose = resolve
      })
      transport.ondata = () => {}
      const header = new Uint8Array(7)
      new DataView(header.buffer).setUint32(0, size, true)
      transport.send([[header]])
      await closed
    }
    while (sessions > 0) await new Promise(resolve => setTimeout(resolve, 5))
  })
}

t.test('a client that does not complete a message in time is disconnected', async t => {
  const [ours, theirs] = transportPair()
  const session = serve(theirs, { ...options(), times: { frame: 50 } })
  ours.ondata = () => {}
  const closed = new Promise(resolve => {
    ours.onclose = resolve
  })
  const version = pack({ type: 'Tversion', tag: 0xffff, msize: 8192, version: '9P2000' }, '9P2000')
  ours.send([[version, version.subarray(0, 9)]])
  await closed
  await session.closed
  t.pass('disconnected, and its session has ended')
})

t.test('a client that completes each message in time stays connected', async t => {
  const [ours, theirs] = transportPair()
  serve(theirs, { ...options(), times: { frame: 1000 } })
  let replies = 0
  ours.ondata = () => {
    replies++
  }
  let closed = false
  ours.onclose = () => {
    closed = true
  }
  const version = pack({ type: 'Tversion', tag: 0xffff, msize: 8192, version: '9P2000' }, '9P2000')
  // all together take longer than one message may
  for (let i = 0; i < 8; i++) {
    ours.send([[version.subarray(0, 9)]])
    await new Promise(resolve => setTimeout(resolve, 200))
    ours.send([[version.subarray(9)]])
  }
  await new Promise(resolve => setTimeout(resolve, 1100))
  t.same([replies, closed], [8, false])
  ours.destroy()
})

t.test('a client that never sends Tversion is disconnected', async t => {
  const [ours, theirs] = transportPair()
  serve(theirs, { ...options(), times: { version: 50 } })
  ours.ondata = () => {}
  await new Promise(resolve => {
    ours.onclose = resolve
  })
  t.pass('disconnected')
})

t.test('the end of a connection ends its fids and its waiting reads', async t => {
  const { root, ours, theirs } = await attached(t)
  const queue = await (await root.walk(['queue'])).open(OREAD)
  const read = queue.read(0, 10)
  await root.stat()
  ours.destroy()
  await t.rejects(read, { message: /^i\/o on hungup channel/ })
  await new Promise(resolve => setImmediate(resolve))
  t.equal(theirs.queued, 0)
})
