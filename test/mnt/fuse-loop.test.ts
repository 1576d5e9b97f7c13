import t from 'tap'
import type { Client, Fid } from '../../fs/client.js'
import { FsError, fail } from '../../fs/errors.js'
import type { Driver } from '../../mnt/fuse/driver.js'
import { type Channel, Loop } from '../../mnt/fuse/loop.js'
import { Nodes } from '../../mnt/fuse/nodes.js'
import { decode, encode, IN_HEADER, inHeader, type Operation, operations, outHeader } from '../../mnt/fuse/protocol.js'

type Handler = (request: { op: string }, flight: { signal: AbortSignal }) => unknown

/** A loop over a channel that a test fills, and a driver that does what the test says. */
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

t.test('an interrupt ends the request it names, with EINTR', async t => {
  const { loop, send, give, replies } = rig(waits)
  await send('READ', 10)
  await send('READ', 12)
  await send('INTERRUPT', 11, { unique: 10 })
  t.match(replies, { length: 1, 0: { unique: 10, errno: 4 } })
  await give('ENODEV')
  await loop.done
})

t.test('an interrupt may come before its request', async t => {
  const { send, give, replies } = rig(waits)
  await send('INTERRUPT', 11, { unique: 10 })
  t.equal(replies.length, 0, 'an interrupt itself is not answered: ENOSYS would turn them off for good')
  await send('READ', 10)
  t.match(replies, { length: 1, 0: { unique: 10, errno: 4 } })
  await give('ENODEV')
})

t.test('an interrupted program is let go though the server never answers its flush', async t => {
  const { send, give, replies } = rig(() => new Promise(() => {}))
  await send('READ', 10)
  await send('INTERRUPT', 11, { unique: 10 })
  await new Promise(done => setTimeout(done, 1200))
  t.match(replies, { length: 1, 0: { unique: 10, errno: 4 } })
  await give('ENODEV')
})

t.test('what is not known is answered ENOSYS, what throws EIO, and the loop goes on', async t => {
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

t.test('an errno the kernel would refuse is EIO: it would wait on for a reply', async t => {
  const { send, give, replies } = rig(() => Promise.reject(new FsError('strange', errnos.shift()!)))
  const errnos = [1, 511, 512, 65282, 2 ** 32 - 1, 0]
  for (const unique of [10, 12, 14, 16, 18, 20]) await send('READ', unique)
  t.same(
    replies.map(r => r.errno),
    [1, 511, 5, 5, 5, 5],
  )
  await give('ENODEV')
})

t.test('a reply the kernel does not take is replaced by a failure, once', async t => {
  const { send, give, replies, refuse } = rig(() => ({ fh: 3 }))
  refuse.next = 'EINVAL'
  await send('OPEN', 10)
  t.match(replies, { length: 1, 0: { unique: 10, errno: 5 } })
  refuse.next = 'ENOENT'
  await send('OPEN', 12)
  t.equal(replies.length, 1, 'ENOENT: nobody waits for it any more')
  await give('ENODEV')
})

t.test('reads that are only disturbed are read again, and the end of the mount is the end', async t => {
  const { loop, send, give, replies } = rig(() => ({}))
  await give('EINTR')
  await give('EAGAIN')
  await send('FSYNC', 10)
  t.equal(replies.length, 1)
  await give('ENODEV')
  await loop.done
  t.ok(loop.ended)
})

t.test('when it stops, all that waits and all that comes is failed', async t => {
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

/** A fid that notes its clunk. */
function fidOf(client: object, clunked: number[], n: number): Fid {
  return { client, clunk: async () => void clunked.push(n) } as unknown as Fid
}
const file = (path: bigint) => ({ type: 0, version: 0, path })

t.test('a node is the same for a name until another file has the name, and is gone when forgotten', async t => {
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

t.test('kept fids are bounded: the longest unused is clunked', async t => {
  const client = {} as Client
  const clunked: number[] = []
  const nodes = new Nodes(file(1n))
  const made = Array.from({ length: 1030 }, (_, i) => nodes.lookup(nodes.root, `f${i}`, file(BigInt(i + 2))))
  made.forEach((node, i) => {
    nodes.keep(node, 0, fidOf(client, clunked, i))
    nodes.kept(made[0]!, 0, client)
  })
  t.same(clunked, [1, 2, 3, 4, 5, 6], 'the first was used all along')
  t.ok(nodes.kept(made[0]!, 0, client))
})

t.test('a fid is kept for each user and for its own connection only', async t => {
  const client = {} as Client
  const clunked: number[] = []
  const nodes = new Nodes(file(1n))
  const node = nodes.lookup(nodes.root, 'a', file(2n))
  const first = fidOf(client, clunked, 1)
  t.equal(nodes.keep(node, 0, first), first)
  t.equal(nodes.keep(node, 0, fidOf(client, clunked, 2)), first, 'somebody may be about to use the first')
  t.same(clunked, [2])
  t.equal(nodes.kept(node, 1, client), undefined)
  t.equal(nodes.kept(node, 0, {} as Client), undefined, 'dead with its connection')
  nodes.keep(node, 0, fidOf(client, clunked, 3))
  nodes.forget(node.id, 1)
  t.same(clunked, [2, 3])
})
