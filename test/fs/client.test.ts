/** The client against a scripted server: tags, flushes, walks, large transfers, and servers that break the protocol. */
import t from 'tap'
import { untouched } from '../../fs/base/attributes.js'
import type { FsError } from '../../fs/base/errors.js'
import { MAX_MSIZE, MAX_QUEUED } from '../../fs/base/limits.js'
import { Client, Fid } from '../../fs/client/client.js'
import { transportPair } from '../../fs/transport/pair.js'
import { bareStat, dirent } from '../../fs/wire/field.js'
import type { Message } from '../../fs/wire/message.js'
import { NOFID, NOTAG, OREAD } from '../../fs/wire/protocol.js'
import { parse } from '../../fs/wire/text.js'
import { connected, Peer } from './peer.js'

const qid = { type: 0, version: 0, path: 7n }
const bytes = (s: string) => new TextEncoder().encode(s)

/** Whether a promise has settled within a few turns of the event loop. */
async function settled(promise: Promise<unknown>): Promise<boolean> {
  let done = false
  const note = () => {
    done = true
  }
  promise.then(note, note)
  for (let i = 0; i < 5; i++) await new Promise(resolve => setImmediate(resolve))
  return done
}

t.test('requests of one turn leave in one send and may be answered in any order', async t => {
  const { client, peer } = await connected()
  const calls = [1, 2, 3].map(fid => client.rpc({ type: 'Tstat', fid }).catch(e => e))
  const opens = client.rpc({ type: 'Topen', fid: 9, mode: OREAD })
  for (const fid of [1, 2, 3]) t.equal((await peer.next('Tstat')).fid, fid)
  const open = await peer.next('Topen')
  t.equal(open.tag, 3, 'tags count up from 0')
  t.same(peer.sends, [1, 4], 'Tversion leaves alone, the four requests together')
  peer.say(
    { type: 'Ropen', tag: 3, qid, iounit: 0 },
    { type: 'Rerror', tag: 2, ename: 'c', errno: 1 },
    { type: 'Rerror', tag: 0, ename: 'a', errno: 1 },
    { type: 'Rerror', tag: 1, ename: 'b', errno: 1 },
  )
  t.match(await opens, { qid, iounit: 0 })
  t.same(
    (await Promise.all(calls)).map(e => (e as FsError).message),
    ['a', 'b', 'c'],
  )
})

t.test('a tag is reused as soon as it is answered, the lowest first', async t => {
  const { client, peer } = await connected()
  const ask = (fid: number) => void client.rpc({ type: 'Tclunk', fid })
  const tags = async (n: number) => {
    const out: number[] = []
    for (let i = 0; i < n; i++) out.push((await peer.next('Tclunk')).tag)
    return out
  }
  for (let i = 0; i < 5; i++) ask(i)
  t.same(await tags(5), [0, 1, 2, 3, 4])
  peer.say({ type: 'Rclunk', tag: 3 }, { type: 'Rclunk', tag: 1 })
  await settled(Promise.resolve())
  for (let i = 0; i < 3; i++) ask(i)
  t.same(await tags(3), [1, 3, 5])
})

t.test('an abort sends Tflush and rejects with interrupted at Rflush, and the tag is held until then', async t => {
  const { client, peer } = await connected()
  const stop = new AbortController()
  const read = client.rpc({ type: 'Tread', fid: 1, offset: 0n, count: 10 }, stop.signal)
  await peer.next('Tread')
  stop.abort()
  const flush = await peer.next('Tflush')
  t.equal(flush.oldtag, 0)
  t.notOk(await settled(read), 'the read does not reject before Rflush')
  void client.rpc({ type: 'Tclunk', fid: 5 })
  t.equal((await peer.next('Tclunk')).tag, 2, 'the tags of the flushed request and of the flush are in use')
  peer.say({ type: 'Rflush', tag: flush.tag })
  await t.rejects(read, { message: 'interrupted', errno: 4 })
  void client.rpc({ type: 'Tclunk', fid: 5 })
  t.equal((await peer.next('Tclunk')).tag, 0, 'the tag is free again')
})

t.test('a request whose signal has aborted already is not sent', async t => {
  const { client, peer } = await connected()
  await t.rejects(client.rpc({ type: 'Tclunk', fid: 1 }, AbortSignal.abort()), { message: 'interrupted' })
  await settled(Promise.resolve())
  t.equal(peer.requests.length, 0)
})

t.test('a reply that arrives before Rflush counts, and its tag stays in use until Rflush', async t => {
  const { client, peer } = await connected()
  const stop = new AbortController()
  const write = client.rpc({ type: 'Twrite', fid: 1, offset: 0n, data: bytes('abc') }, stop.signal)
  await peer.next('Twrite')
  stop.abort()
  const flush = await peer.next('Tflush')
  peer.say({ type: 'Rwrite', tag: 0, count: 3 })
  t.match(await write, { count: 3 }, 'the write was carried out')
  void client.rpc({ type: 'Tclunk', fid: 5 })
  t.equal((await peer.next('Tclunk')).tag, 2)
  peer.say({ type: 'Rflush', tag: flush.tag })
  await settled(Promise.resolve())
  void client.rpc({ type: 'Tclunk', fid: 6 })
  t.equal((await peer.next('Tclunk')).tag, 0)
})

t.test('an error that arrives before Rflush is reported as interrupted, with the error as its cause', async t => {
  const { client, peer } = await connected()
  const stop = new AbortController()
  const read = client.rpc({ type: 'Tread', fid: 1, offset: 0n, count: 10 }, stop.signal)
  await peer.next('Tread')
  stop.abort()
  const flush = await peer.next('Tflush')
  peer.say({ type: 'Rerror', tag: 0, ename: 'flushed', errno: 0 }, { type: 'Rflush', tag: flush.tag })
  await t.rejects(read, { message: 'interrupted', cause: { message: 'flushed' } })
})

t.test('if a server does not implement flush, the request continues and its reply counts', async t => {
  const { client, peer } = await connected()
  const stop = new AbortController()
  const read = client.rpc({ type: 'Tread', fid: 1, offset: 0n, count: 10 }, stop.signal)
  await peer.next('Tread')
  stop.abort()
  const flush = await peer.next('Tflush')
  peer.say({ type: 'Rerror', tag: flush.tag, ename: 'what is that', errno: 0 })
  t.notOk(await settled(read))
  peer.say({ type: 'Rread', tag: 0, data: bytes('late') })
  t.same((await read).data, bytes('late'))
})

t.test('a walk that succeeds despite its abort is undone by clunking the new fid', async t => {
  const { client, peer } = await connected()
  const root = await attached(client, peer)
  const stop = new AbortController()
  const walk = root.walk(['a'], stop.signal)
  const { tag, newfid } = await peer.next('Twalk')
  stop.abort()
  const flush = await peer.next('Tflush')
  peer.say({ type: 'Rwalk', tag, wqid: [qid] }, { type: 'Rflush', tag: flush.tag })
  await t.rejects(walk, { message: 'interrupted' })
  const clunk = await peer.next('Tclunk')
  t.equal(clunk.fid, newfid)
  const other = root.walk(['b'])
  t.not((await peer.next('Twalk')).newfid, newfid, 'the number of the fid is not free before Rclunk')
  peer.say({ type: 'Rclunk', tag: clunk.tag })
  await settled(other)
  root.walk(['c']).catch(() => {})
  t.equal((await peer.next('Twalk')).newfid, newfid)
})

t.test('a question is sent right behind its walk, and again if the server processed it first', async t => {
  const { client, peer } = await connected()
  const root = await attached(client, peer)
  const sends = peer.sends.length
  const stat = { ...untouched(), qid, name: 'a', length: 7n }
  const look = root.ask(['a'], fid => fid.stat())
  const walk = await peer.next('Twalk')
  const early = await peer.next('Tstat')
  t.equal(peer.sends.length, sends + 1, 'walk and question leave together')
  t.equal(early.fid, walk.newfid)
  peer.say(
    { type: 'Rerror', tag: early.tag, ename: 'unknown fid', errno: 9 },
    { type: 'Rwalk', tag: walk.tag, wqid: [qid] },
  )
  const again = await peer.next('Tstat')
  t.equal(again.fid, walk.newfid)
  peer.say({ type: 'Rstat', tag: again.tag, stat })
  t.equal((await look).answer.length, 7n)

  const missing = root.ask(['b'], fid => fid.stat())
  const [failing, asked] = [await peer.next('Twalk'), await peer.next('Tstat')]
  peer.say(
    { type: 'Rerror', tag: failing.tag, ename: 'file does not exist', errno: 2 },
    { type: 'Rerror', tag: asked.tag, ename: 'unknown fid', errno: 9 },
  )
  await t.rejects(missing, { message: 'file does not exist', errno: 2 })

  const refused = root.ask(['c'], fid => fid.stat())
  const [made, first] = [await peer.next('Twalk'), await peer.next('Tstat')]
  const denied = { type: 'Rerror', ename: 'permission denied', errno: 13 } as const
  peer.say({ type: 'Rwalk', tag: made.tag, wqid: [qid] }, { ...denied, tag: first.tag })
  peer.say({ ...denied, tag: (await peer.next('Tstat')).tag })
  await t.rejects(refused, { message: 'permission denied', errno: 13 })
  t.equal((await peer.next('Tclunk')).fid, made.newfid, 'the new fid is clunked')
})

t.test('a walk of many names is sent in pieces of 16, and its fid is clunked when a later piece fails', async t => {
  const { client, peer } = await connected()
  const root = await attached(client, peer)
  const names = Array.from({ length: 20 }, (_, i) => `n${i}`)
  const walk = root.walk(names)
  const first = await peer.next('Twalk')
  t.same(first.wname, names.slice(0, 16))
  peer.say({ type: 'Rwalk', tag: first.tag, wqid: first.wname.map(() => qid) })
  const second = await peer.next('Twalk')
  t.match(second, { fid: first.newfid, newfid: first.newfid, wname: names.slice(16) })
  peer.say({ type: 'Rerror', tag: second.tag, ename: 'file does not exist', errno: 2 })
  await t.rejects(walk, { message: 'file does not exist', errno: 2 })
  t.equal((await peer.next('Tclunk')).fid, first.newfid)
})

t.test('when a later name of a walk fails, the client asks the server for the reason', async t => {
  const { client, peer } = await connected()
  const root = await attached(client, peer)
  const walk = root.walk(['a', 'b', 'c', 'd'])
  const whole = await peer.next('Twalk')
  peer.say({ type: 'Rwalk', tag: whole.tag, wqid: [qid, qid] })
  const before = await peer.next('Twalk')
  t.match(
    before,
    { fid: root.fid, newfid: whole.newfid, wname: ['a', 'b'] },
    'the client walks the names before the failed one',
  )
  peer.say({ type: 'Rwalk', tag: before.tag, wqid: [qid, qid] })
  const rest = await peer.next('Twalk')
  t.match(rest, { fid: whole.newfid, newfid: whole.newfid, wname: ['c', 'd'] }, 'the failed name comes first')
  peer.say({ type: 'Rerror', tag: rest.tag, ename: 'permission denied', errno: 13 })
  await t.rejects(walk, { message: 'permission denied', errno: 13 })
  t.equal((await peer.next('Tclunk')).fid, whole.newfid, 'the new fid is clunked')
  const none = root.walk(['a'])
  peer.say({ type: 'Rwalk', tag: (await peer.next('Twalk')).tag, wqid: [] })
  await t.rejects(none, { message: 'file does not exist' }, 'a server that gives no reason at all')
})

t.test('a large write is sent in pieces of iounit, several at once, and stops at the first error', async t => {
  const { client, peer } = await connected({ msize: 8192 })
  const root = await attached(client, peer)
  const opening = root.open(1)
  peer.say({ type: 'Ropen', tag: (await peer.next('Topen')).tag, qid, iounit: 1000 })
  await opening
  const write = root.write(5, new Uint8Array(20_000))
  const sent = [await peer.next('Twrite')]
  for (let i = 1; i < 8; i++) sent.push(await peer.next('Twrite'))
  t.same(
    sent.map(m => [Number(m.offset), m.data.length]),
    sent.map((_, i) => [5 + i * 1000, 1000]),
  )
  await settled(write)
  t.equal(peer.requests.length, 0, 'at most eight are in flight')
  peer.say(
    ...sent.map((m, i): Message => {
      if (i === 2) return { type: 'Rerror', tag: m.tag, ename: 'queue full, retry after 5 s', errno: 16 }
      return { type: 'Rwrite', tag: m.tag, count: 1000 }
    }),
  )
  for (let i = 0; i < 2; i++) {
    const more = await peer.next('Twrite')
    peer.say({ type: 'Rwrite', tag: more.tag, count: 1000 })
  }
  await t.rejects(write, { message: 'queue full, retry after 5 s', errno: 16 })
  t.equal(peer.requests.length, 0, 'nothing is written after the error')
})

t.test('an endless listing of nothing but dots fails', async t => {
  const { client, peer } = await connected({ dialect: '9P2000.L', msize: 1024 * 1024 })
  const root = await attached(client, peer)
  const list = root.list()
  const dots = new Uint8Array(25 * 40_000)
  for (let i = 0; i < 40_000; i++)
    dots.set([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 4, 1, 0, 46], 25 * i)
  const answer = async () => {
    for (;;) peer.say({ type: 'Rreaddir', tag: (await peer.next('Treaddir')).tag, data: dots })
  }
  answer().catch(() => undefined)
  await t.rejects(list, { message: /^file too large/ })
  client.close()
})

/** Lists a directory whose entries are the answer to the first read. */
async function listed(dialect: '9P2000.u' | '9P2000.L', names: readonly string[]) {
  const { client, peer } = await connected({ dialect })
  const list = new Fid(client, 1, qid).list()
  const { tag } = await peer.next(dialect === '9P2000.L' ? 'Treaddir' : 'Tread')
  const parts = names.map(name => {
    const stat = { ...untouched(), name }
    const entry = { qid, offset: 1n, type: 8, name }
    const size = dialect === '9P2000.L' ? dirent.size(entry, dialect) : bareStat.size(stat, dialect)
    const into = { bytes: new Uint8Array(size), at: 0 }
    if (dialect === '9P2000.L') dirent.put(into, entry, dialect)
    else bareStat.put(into, stat, dialect)
    return into.bytes
  })
  const type = dialect === '9P2000.L' ? 'Rreaddir' : 'Rread'
  peer.say({ type, tag, data: Buffer.concat(parts) })
  const end = peer.next(dialect === '9P2000.L' ? 'Treaddir' : 'Tread').then(
    m => peer.say({ type, tag: m.tag, data: new Uint8Array(0) }),
    () => undefined,
  )
  return { list, end }
}

for (const dialect of ['9P2000.u', '9P2000.L'] as const) {
  t.test(`${dialect}: . and .. of a listing are not entries`, async t => {
    const { list, end } = await listed(dialect, ['.', '..', 'file', '...'])
    await end
    t.same(
      (await list).map(stat => stat.name),
      ['file', '...'],
    )
  })

  for (const name of ['', 'a/b', '/', '../up', 'x'.repeat(256)])
    t.test(`${dialect}: a listing with an entry ${JSON.stringify(name.slice(0, 8))} is refused`, async t => {
      const { list } = await listed(dialect, ['file', name])
      await t.rejects(list, { message: /^bad message: directory entry with an invalid name: "/ })
    })
}

t.test('an endless listing of long entries fails before it exhausts memory', async t => {
  const { client, peer } = await connected({ msize: MAX_MSIZE })
  const list = new Fid(client, 1, qid).list()
  const stat = { ...untouched(), name: 'file', uid: 'u'.repeat(65_000) }
  const one = { bytes: new Uint8Array(bareStat.size(stat, '9P2000.u')), at: 0 }
  bareStat.put(one, stat, '9P2000.u')
  const data = Buffer.concat(Array(Math.floor((MAX_MSIZE - 24) / one.bytes.length)).fill(one.bytes))
  let over = false
  const lost = t.rejects(list, { message: /^file too large: directory listing / }).then(() => {
    over = true
  })
  while (!over) {
    const { tag } = await peer.next('Tread')
    peer.say({ type: 'Rread', tag, data })
    await settled(lost)
  }
  await lost
})

t.test('a write fails if the server takes less than it was given', async t => {
  const { client, peer } = await connected()
  const root = await attached(client, peer)
  const write = root.write(0, bytes('hello'))
  peer.say({ type: 'Rwrite', tag: (await peer.next('Twrite')).tag, count: 2 })
  await t.rejects(write, { message: 'i/o error: the server wrote 2 of 5 bytes' })
})

t.test('a read asks for no more than a message holds', async t => {
  const { client, peer } = await connected({ msize: 8192 })
  const root = await attached(client, peer)
  const read = root.read(0, 1_000_000)
  const m = await peer.next('Tread')
  t.equal(m.count, 8192 - 24)
  peer.say({ type: 'Rread', tag: m.tag, data: bytes('x') })
  t.same(await read, bytes('x'))
  await t.rejects(root.read(-1, 10), { message: 'bad offset: -1' })
  await t.rejects(root.read(2 ** 53, 10), { message: /^bad offset/ })
})

t.test('a fid that was clunked can no longer be used', async t => {
  const { client, peer } = await connected()
  const root = await attached(client, peer)
  const clunk = root.clunk()
  t.equal(root.clunk(), clunk, 'a second clunk returns the promise of the first')
  peer.say({ type: 'Rerror', tag: (await peer.next('Tclunk')).tag, ename: 'i/o error', errno: 5 })
  await t.rejects(clunk, { message: 'i/o error' })
  const uses: Promise<unknown>[] = [root.stat(), root.walk(['a']), root.ask(['a'], fid => fid.stat())]
  for (const used of uses) await t.rejects(used, { message: /unknown fid/ })
  await settled(Promise.resolve())
  t.equal(peer.requests.length, 0, 'no request uses its number, which may now be that of another file')
})

t.test('a lost connection rejects all outstanding requests and all later ones', async t => {
  const { client, peer } = await connected()
  const stop = new AbortController()
  const calls: Promise<unknown>[] = [
    client.rpc({ type: 'Tclunk', fid: 1 }),
    client.rpc({ type: 'Tstat', fid: 1 }, stop.signal),
  ]
  await peer.next('Tclunk')
  stop.abort()
  await peer.next('Tstat')
  peer.transport.close()
  for (const call of calls) await t.rejects(call, { message: /^i\/o on hungup channel/, errno: 5 })
  t.equal(await client.closed, undefined)
  await t.rejects(client.rpc({ type: 'Tclunk', fid: 1 }), { message: /^i\/o on hungup channel/ })
})

t.test('close rejects outstanding requests and ends the connection', async t => {
  const { client, peer } = await connected()
  const call = client.rpc({ type: 'Tclunk', fid: 1 })
  client.close()
  await t.rejects(call, { message: /^i\/o on hungup channel/ })
  t.equal((await peer.next('Tclunk')).fid, 1, 'a request made before close is still sent')
  while (!peer.closed) await settled(Promise.resolve())
})

t.test('the client disconnects from a server that breaks the protocol', async t => {
  const tread: Message = { type: 'Tread', tag: 0, fid: 1, offset: 0n, count: 4 }
  const twalk: Message = { type: 'Twalk', tag: 0, fid: 1, newfid: 2, wname: ['a'] }
  const twrite: Message = { type: 'Twrite', tag: 0, fid: 1, offset: 0n, data: bytes('abc') }
  const cases: [string, Message, string, RegExp][] = [
    ['more data than asked for', tread, "Rread tag 0 data 'hello'", /Rread has 5 bytes, but Tread asked for 4/],
    ['a tag without a request', tread, 'Rclunk tag 9', /unexpected Rclunk: no request has tag 9/],
    ['a reply of the wrong type', tread, 'Rclunk tag 0', /unexpected Rclunk in reply to Tread/],
    ['a request', tread, 'Tclunk tag 0 fid 1', /unexpected Tclunk in reply to Tread/],
    [
      'more qids than names',
      twalk,
      'Rwalk tag 0 wqid [(1 0 0x0) (2 0 0x0)]',
      /Rwalk has 2 qids, but Twalk asked for 1/,
    ],
    ['more written than given', twrite, 'Rwrite tag 0 count 4', /Rwrite has 4 bytes, but Twrite asked for 3/],
    [
      'an unexpected Rversion',
      tread,
      'Rversion tag ~0 msize 8192 version 9P2000',
      /unexpected Rversion: no request has tag 65535/,
    ],
  ]
  for (const [what, asked, reply, why] of cases)
    await t.test(what, async t => {
      const { client, peer } = await connected()
      const { tag: _, ...request } = asked
      const call = client.rpc(request as never)
      const more = client.rpc({ type: 'Tclunk', fid: 3 })
      await peer.next(asked.type as 'Tread')
      peer.say(parse(reply))
      await t.rejects(call, { message: why })
      await t.rejects(more, { message: why })
      t.match(await client.closed, { message: why })
      while (!peer.closed) await settled(Promise.resolve())
    })
})

t.test('the client disconnects at a second reply to a flushed tag', async t => {
  const { client, peer } = await connected()
  const stop = new AbortController()
  const call = client.rpc({ type: 'Tclunk', fid: 1 }, stop.signal)
  await peer.next('Tclunk')
  stop.abort()
  await peer.next('Tflush')
  peer.say({ type: 'Rclunk', tag: 0 }, { type: 'Rclunk', tag: 0 })
  await call
  t.match(await client.closed, { message: /no request has tag 0/ })
})

t.test('the client disconnects at an impossible size or an unknown message type', async t => {
  for (const reply of [
    [6, 0, 0, 0, 121, 0],
    [0, 0, 0, 128, 121],
    [7, 0, 0, 0, 99, 0, 0],
    [8, 0, 0, 0, 121, 0, 0, 1],
  ]) {
    const { client, peer } = await connected()
    const call = client.rpc({ type: 'Tclunk', fid: 1 })
    await peer.next('Tclunk')
    peer.transport.send([[Uint8Array.from(reply)]])
    await t.rejects(call, { message: /the server broke the protocol: bad message/ })
  }
})

t.test('a Tversion agrees on any dialect and msize that the client can use, and fails with others', async t => {
  const attempt = async (dialect: '9P2000.u' | '9P2000.L', reply: string) => {
    const [ours, theirs] = transportPair()
    const peer = new Peer(theirs)
    const connecting = Client.connect(ours, { dialect, msize: 65536 })
    const asked = await peer.next('Tversion')
    t.match(asked, { tag: NOTAG, msize: 65536, version: dialect })
    peer.say(parse(reply))
    return connecting
  }
  t.match(await attempt('9P2000.u', 'Rversion tag ~0 msize 8192 version 9P2000.u'), {
    dialect: '9P2000.u',
    msize: 8192,
  })
  t.match(await attempt('9P2000.u', 'Rversion tag ~0 msize 8216 version 9P2000'), { dialect: '9P2000', msize: 8216 })
  t.match(await attempt('9P2000.L', 'Rversion tag ~0 msize 65535 version 9P2000'), { dialect: '9P2000' })
  await t.rejects(attempt('9P2000.L', 'Rversion tag ~0 msize 8192 version unknown'), {
    message:
      'operation not supported: no common version of 9P: pair!0 answered "unknown"; this client speaks 9P2000.u, 9P2000.L, 9P2000',
  })
  t.match(await attempt('9P2000.u', 'Rversion tag ~0 msize 8192 version 9P2000.L'), { dialect: '9P2000.L' })
  await t.rejects(attempt('9P2000.u', 'Rversion tag ~0 msize 65537 version 9P2000.u'), { message: /asked for 65536/ })
  await t.rejects(attempt('9P2000.u', 'Rversion tag ~0 msize 100 version 9P2000.u'), { message: /at least 256/ })
  await t.rejects(attempt('9P2000.u', "Rerror tag ~0 ename 'go away'"), { message: 'go away' })
})

for (const [how, refusal] of [
  ['as in version(5)', { type: 'Rversion', tag: NOTAG, msize: 8192, version: 'unknown' }],
  ['as diod does, with Rlerror', { type: 'Rlerror', tag: NOTAG, ecode: 5 }],
] as const)
  t.test(`the client proposes 9P2000.L to a server that refuses 9P2000.u ${how}`, async t => {
    const [ours, theirs] = transportPair()
    const peer = new Peer(theirs)
    const connecting = Client.connect(ours)
    t.equal((await peer.next('Tversion')).version, '9P2000.u')
    peer.dialect = '9P2000.L'
    peer.say(refusal)
    t.equal((await peer.next('Tversion')).version, '9P2000.L')
    peer.say({ type: 'Rversion', tag: NOTAG, msize: 8192, version: '9P2000.L' })
    t.match(await connecting, { dialect: '9P2000.L', msize: 8192 })
  })

t.test('an abort ends connecting', async t => {
  const [ours, theirs] = transportPair()
  const peer = new Peer(theirs)
  const stop = new AbortController()
  const connecting = Client.connect(ours, {}, stop.signal)
  await peer.next('Tversion')
  stop.abort()
  await t.rejects(connecting, { message: 'interrupted' })
  await settled(Promise.resolve())
  t.ok(peer.closed)
})

t.test('a token is sent through Tauth and does not appear in a trace', async t => {
  const lines: string[] = []
  const { client, peer } = await connected({ trace: line => lines.push(line) })
  const attaching = client.attach({ uname: 'glenda', token: 'llb_secret' })
  const auth = await peer.next('Tauth')
  t.match(auth, { uname: 'glenda', aname: '' })
  peer.say({ type: 'Rauth', tag: auth.tag, aqid: { ...qid, type: 8 } })
  const write = await peer.next('Twrite')
  t.same(write.data, bytes('llb_secret'))
  t.equal(write.fid, auth.afid)
  peer.say({ type: 'Rwrite', tag: write.tag, count: write.data.length })
  const attach = await peer.next('Tattach')
  t.equal(attach.afid, auth.afid)
  peer.say({ type: 'Rattach', tag: attach.tag, qid: { ...qid, type: 128 } })
  t.equal((await attaching).qid.type, 128)
  t.equal((await peer.next('Tclunk')).fid, auth.afid)
  t.notOk(
    lines.some(line => line.includes('secret')),
    lines.join('\n'),
  )
  for (const line of lines) parse(line.slice(3))
})

t.test('the client attaches without an afid to a server that requires no authentication', async t => {
  for (const dialect of ['9P2000.u', '9P2000.L'] as const) {
    const { client, peer } = await connected({ dialect })
    const attaching = client.attach({ uname: 'glenda', token: 'llb_secret' })
    const { tag } = await peer.next('Tauth')
    if (dialect === '9P2000.L') peer.say({ type: 'Rlerror', tag, ecode: 2 })
    else peer.say({ type: 'Rerror', tag, ename: 'authentication not required', errno: 0 })
    const attach = await peer.next('Tattach')
    t.equal(attach.afid, NOFID)
    peer.say({ type: 'Rattach', tag: attach.tag, qid })
    await attaching
  }
})

t.test('an error without an errno gets that of its string, and an errno of .L gets its string', async t => {
  const plain = await connected({ dialect: '9P2000' })
  const a = plain.client.rpc({ type: 'Tclunk', fid: 1 })
  plain.peer.say({ type: 'Rerror', tag: (await plain.peer.next('Tclunk')).tag, ename: 'file does not exist' })
  await t.rejects(a, { message: 'file does not exist', errno: 2 })
  const linux = await connected({ dialect: '9P2000.L' })
  const b = linux.client.rpc({ type: 'Tclunk', fid: 1 })
  linux.peer.say({ type: 'Rlerror', tag: (await linux.peer.next('Tclunk')).tag, ecode: 2 })
  await t.rejects(b, { message: 'file does not exist', errno: 2 })
})

t.test('a request larger than msize is not sent', async t => {
  const { client, peer } = await connected({ msize: 8192 })
  await t.rejects(client.rpc({ type: 'Twrite', fid: 1, offset: 0n, data: new Uint8Array(8192) }), {
    message: 'bad message: Twrite has 8215 bytes, at most 8192',
  })
  await t.rejects(client.rpc({ type: 'Twalk', fid: 1, newfid: 2, wname: ['x'.repeat(70_000)] }), {
    message: /bad message/,
  })
  void client.rpc({ type: 'Tclunk', fid: 1 })
  t.equal((await peer.next('Tclunk')).tag, 0, 'the tag of a request that was not sent is free')
})

async function attached(client: Client, peer: Peer) {
  const attaching = client.attach({ uname: 'glenda' })
  const { tag } = await peer.next('Tattach')
  peer.say({ type: 'Rattach', tag, qid: { type: 128, version: 0, path: 1n } })
  return attaching
}

t.test('many requests on one signal cause no leak warning', async t => {
  const { client, peer } = await connected()
  const warned: Error[] = []
  const note = (warning: Error) => warned.push(warning)
  process.on('warning', note)
  t.teardown(() => process.off('warning', note))
  const { signal } = new AbortController()
  const calls = Array.from({ length: 12 }, () => client.rpc({ type: 'Tstat', fid: 1 }, signal).catch(e => e))
  await peer.next('Tstat')
  await new Promise(resolve => setImmediate(resolve))
  t.same(warned, [])
  client.close()
  await Promise.all(calls)
})

t.test('requests to a server that does not read wait at their callers, and are dropped when those give up', async t => {
  const { client, peer } = await connected({ msize: MAX_MSIZE })
  peer.transport.pause()
  const data = new Uint8Array(client.msize - 64)
  const late: Promise<unknown>[] = []
  for (let i = 0; i < 40; i++) {
    const gaveUp = new AbortController()
    const write = client.rpc({ type: 'Twrite', fid: 1, offset: 0n, data }, gaveUp.signal)
    write.catch(() => undefined)
    await settled(Promise.resolve())
    gaveUp.abort()
    if (client.transport.queued > MAX_QUEUED) late.push(write)
  }
  t.ok(client.transport.queued < MAX_QUEUED + 2 * MAX_MSIZE, `${client.transport.queued} bytes wait`)
  t.ok(late.length > 10)
  for (const write of late.slice(1)) await t.rejects(write, { message: 'interrupted' })
  const stat = client.rpc({ type: 'Tstat', fid: 1 }).catch(error => (error as FsError).message)
  t.notOk(await settled(stat))
  peer.transport.resume()
  await settled(Promise.resolve())
  const asked = peer.requests.find(({ type }) => type === 'Tstat')!
  peer.say({ type: 'Rerror', tag: asked.tag, ename: 'it reads again', errno: 1 })
  t.equal(await stat, 'it reads again')
  const [first] = late
  peer.transport.pause()
  for (let i = 0; i < 5; i++) client.rpc({ type: 'Twrite', fid: 1, offset: 0n, data }).catch(() => undefined)
  await settled(Promise.resolve())
  const lost = client.rpc({ type: 'Tstat', fid: 1 })
  client.close()
  await t.rejects(lost, { message: /hungup/ })
  await first!.catch(() => undefined)
})
