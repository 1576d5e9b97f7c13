/** The FUSE request loop and the node table, without a kernel. */
import t from 'tap'
import { FsError, fail } from '../../api/errors.js'
import type { Client, Fid } from '../../fs/client/client.js'
import type { Driver } from '../../mnt/fuse/driver.js'
import { type Channel, Loop } from '../../mnt/fuse/loop.js'
import { Nodes } from '../../mnt/fuse/nodes.js'
import { decode, encode, IN_HEADER, inHeader, type Operation, operations, outHeader } from '../../mnt/fuse/protocol.js'

type Handler = (request: { op: string }, flight: { signal: AbortSignal }) => unknown

/** A loop over a channel that the test fills, with a driver whose handler the test gives. */
function rig(handle: Handler) {
  let deliver: ((bytes: Uint8Array | string) => void) | undefined
  const queue: (Uint8Array | string)[] = []
  const replies: { unique: number; errno: number; body: Uint8Array }[] = []
  const refuse = { next: '' }
  const channel: Channel = {
    read(buffer, done) {
      deliver = got => {
        deliver = undefined
        if (typeof got === 'string') return done(Object.assign(new Error(got), { code: got }), 0)
        buffer.set(got)
        done(null, got.length)
      }
      if (queue.length > 0) setImmediate(() => deliver?.(queue.shift()!))
    },
    write(parts) {
      const code = refuse.next
      refuse.next = ''
      if (code) throw Object.assign(new Error(code), { code })
      const bytes = Buffer.concat(parts)
      const { unique, error } = decode(outHeader, bytes)
      replies.push({ unique, errno: -(error | 0), body: bytes.subarray(16) })
    },
  }
  const driver = { maxWrite: 4096, handle, local: () => false, forget() {} } as unknown as Driver
  const loop = new Loop(channel, driver)
  const give = async (got: Uint8Array | string) => {
    if (deliver) deliver(got)
    else queue.push(got)
    for (let i = 0; i < 3; i++) await new Promise(setImmediate)
  }
  const send = (op: Operation, unique: number, body: Record<string, number> = {}) => {
    const bytes = new Uint8Array(IN_HEADER + 64)
    const view = new DataView(bytes.buffer)
    encode(operations[op].in as never, body as never, view, IN_HEADER)
    encode(inHeader, { len: bytes.length, opcode: operations[op].code, unique, nodeid: 1 }, view)
    return give(bytes)
  }
  return { loop, send, give, replies, refuse }
}

const waits: Handler = (_r, { signal }) =>
  new Promise((_, reject) => {
    const stop = () => reject(fail('interrupted'))
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop)
  })

t.test('an interrupt ends only the request it names, with EINTR', async t => {
  const { loop, send, give, replies } = rig(waits)
  await send('READ', 10)
  await send('READ', 12)
  await send('INTERRUPT', 11, { unique: 10 })
  t.match(replies, { length: 1, 0: { unique: 10, errno: 4 } })
  await give('ENODEV')
  await loop.done
})

t.test('an interrupt that arrives before its request ends that request', async t => {
  const { send, give, replies } = rig(waits)
  await send('INTERRUPT', 11, { unique: 10 })
  t.equal(replies.length, 0, 'an interrupt itself gets no answer: with ENOSYS the kernel would never send one again')
  await send('READ', 10)
  t.match(replies, { length: 1, 0: { unique: 10, errno: 4 } })
  await give('ENODEV')
})

t.test('an interrupted request is answered even if the server never answers its flush', async t => {
  const { send, give, replies } = rig(() => new Promise(() => {}))
  await send('READ', 10)
  await send('INTERRUPT', 11, { unique: 10 })
  await new Promise(done => setTimeout(done, 1200))
  t.match(replies, { length: 1, 0: { unique: 10, errno: 4 } })
  await give('ENODEV')
})

t.test('an unknown operation gets ENOSYS, a handler that throws gives EIO, and the loop continues', async t => {
  const { send, give, replies } = rig(({ op }) => {
    if (op === 'READ') throw new Error('a bug')
    if (op === 'WRITE') return Promise.reject(fail('diskFull'))
    return { fh: 3 }
  })
  const strange = new Uint8Array(IN_HEADER)
  encode(inHeader, { len: IN_HEADER, opcode: 4711, unique: 8 }, new DataView(strange.buffer))
  await give(strange)
  await give(new Uint8Array(5))
  await send('READ', 10)
  await send('WRITE', 12)
  await send('OPEN', 14)
  t.same(
    replies.map(r => [r.unique, r.errno]),
    [
      [8, 38],
      [0, 38],
      [10, 5],
      [12, 28],
      [14, 0],
    ],
  )
  await give('ENODEV')
})

t.test('an errno that the kernel would reject is sent as EIO, because the kernel would keep waiting', async t => {
  const { send, give, replies } = rig(() => Promise.reject(new FsError('strange', errnos.shift()!)))
  const errnos = [1, 511, 512, 65282, 2 ** 32 - 1, 0]
  for (const unique of [10, 12, 14, 16, 18, 20]) await send('READ', unique)
  t.same(
    replies.map(r => r.errno),
    [1, 511, 5, 5, 5, 5],
  )
  await give('ENODEV')
})

t.test('a reply that the kernel rejects is replaced by EIO, once', async t => {
  const { send, give, replies, refuse } = rig(() => ({ fh: 3 }))
  refuse.next = 'EINVAL'
  await send('OPEN', 10)
  t.match(replies, { length: 1, 0: { unique: 10, errno: 5 } })
  refuse.next = 'ENOENT'
  await send('OPEN', 12)
  t.equal(replies.length, 1, 'ENOENT: the kernel no longer waits for this reply')
  await give('ENODEV')
})

t.test('a read that fails with EINTR or EAGAIN is repeated, and ENODEV ends the loop', async t => {
  const { loop, send, give, replies } = rig(() => ({}))
  await give('EINTR')
  await give('EAGAIN')
  await send('FSYNC', 10)
  t.equal(replies.length, 1)
  await give('ENODEV')
  await loop.done
  t.ok(loop.ended)
})

t.test('a loop that is stopped fails the requests in progress and all later ones', async t => {
  const { loop, send, give, replies } = rig(waits)
  await send('READ', 10)
  loop.stop()
  await send('LOOKUP', 12)
  t.same(
    replies.map(r => [r.unique, r.errno]),
    [
      [10, 108],
      [12, 108],
    ],
  )
  await give('ENODEV')
})

/** A fid that records its clunk. */
function fidOf(client: object, clunked: number[], n: number): Fid {
  return { client, drop: () => void clunked.push(n) } as unknown as Fid
}
const file = (path: bigint) => ({ type: 0, version: 0, path })

t.test('a name keeps its node until another file has the name, and the node goes with the last forget', async t => {
  const nodes = new Nodes(file(1n))
  const a = nodes.lookup(nodes.root, 'a', file(2n))
  t.equal(nodes.lookup(nodes.root, 'a', file(2n)), a)
  const b = nodes.lookup(nodes.root, 'a', file(3n))
  t.not(b, a)
  t.same(nodes.lookup(b, 'deep', file(4n)).path, ['a', 'deep'])
  nodes.forget(a.id, 1)
  t.equal(nodes.get(a.id), a, 'looked up twice, forgotten once')
  nodes.forget(a.id, 1)
  t.throws(() => nodes.get(a.id))
  t.equal(nodes.get(b.id), b)
  nodes.forget(nodes.root.id, 100)
  t.equal(nodes.get(1), nodes.root, 'the root stays')
})

t.test('kept fids are limited, and the least recently used one is clunked', async t => {
  const client = {} as Client
  const clunked: number[] = []
  const nodes = new Nodes(file(1n))
  const made = Array.from({ length: 1030 }, (_, i) => nodes.lookup(nodes.root, `f${i}`, file(BigInt(i + 2))))
  made.forEach((node, i) => {
    nodes.keep(node, 0, fidOf(client, clunked, i))
    nodes.kept(made[0]!, 0, client)
  })
  t.same(clunked, [1, 2, 3, 4, 5, 6], 'the first fid was used all the time')
  t.ok(nodes.kept(made[0]!, 0, client))
})

t.test('a fid is kept for one user and one connection', async t => {
  const client = {} as Client
  const clunked: number[] = []
  const nodes = new Nodes(file(1n))
  const node = nodes.lookup(nodes.root, 'a', file(2n))
  const first = fidOf(client, clunked, 1)
  t.equal(nodes.keep(node, 0, first), first)
  t.equal(
    nodes.keep(node, 0, fidOf(client, clunked, 2)),
    first,
    'the first fid stays, because a request may be about to use it',
  )
  t.same(clunked, [2])
  t.equal(nodes.kept(node, 1, client), undefined)
  t.equal(nodes.kept(node, 0, {} as Client), undefined, 'the fid is dead with its connection')
  nodes.keep(node, 0, fidOf(client, clunked, 3))
  nodes.forget(node.id, 1)
  t.same(clunked, [2, 3])
})
