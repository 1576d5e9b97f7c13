/** The kinds of files in fs/kit, read and written through a server. */
import t from 'tap'
import { type Clock, systemClock } from '../../fs/base/clock.js'
import { fail } from '../../fs/base/errors.js'
import { attachesOfUsers } from '../../fs/client/attaches.js'
import { Client, type Fid } from '../../fs/client/client.js'
import type { File, Opened, User } from '../../fs/file.js'
import { newQid } from '../../fs/file.js'
import { AppendLog, logFile } from '../../fs/kit/append-log.js'
import { clone } from '../../fs/kit/clone.js'
import { bytes, text } from '../../fs/kit/content.js'
import { ctl, word, word1 } from '../../fs/kit/ctl.js'
import { dir, generated, union } from '../../fs/kit/dir.js'
import { EventLog } from '../../fs/kit/event-log.js'
import { remote } from '../../fs/kit/remote.js'
import { serve } from '../../fs/server/server.js'
import { transportPair } from '../../fs/transport/pair.js'
import { ORDWR, OREAD, OWRITE } from '../../fs/wire/protocol.js'

const owner = { name: 'root', uid: 0 }
const decode = (data: Uint8Array) => new TextDecoder().decode(data)
const encode = (s: string) => new TextEncoder().encode(s)

/** Serves a tree over a connection in memory and attaches to it. */
async function tree(t: { teardown(fn: () => unknown): unknown }, root: File, name = 'root', aname = ''): Promise<Fid> {
  const [near, far] = transportPair()
  const faults: unknown[] = []
  const attach = (who: { uname: string }) => {
    const user: User = { name: who.uname, uid: 0, role: who.uname === 'root' ? 'admin' : 'use' }
    return { root, user }
  }
  const session = serve(far, { attach, onerror: e => faults.push(e) })
  const client = await Client.connect(near)
  t.teardown(async () => {
    client.close()
    await session.closed
    if (faults.length) throw faults[0]
  })
  return client.attach({ uname: name, aname })
}

const of = (files: Record<string, File>) => dir(new Map(Object.entries(files)), owner)
const open = async (root: Fid, path: string, mode = OREAD) => (await root.walk(path.split('/'))).open(mode)
const list = async (root: Fid, path: string[]) =>
  (await (await (await root.walk(path)).open(OREAD)).list()).map(s => s.name)

t.test('generated text is made once per open', async t => {
  let made = 0
  const root = await tree(t, of({ n: text(() => `content ${++made}`, { owner }) }))
  const fid = await open(root, 'n')
  t.equal(decode(await fid.read(0, 4)), 'cont')
  t.equal(decode(await fid.read(4, 100)), 'ent 1', 'a later offset agrees with the first read')
  t.equal(decode(await root.readFile('n')), 'content 2')
  t.equal((await fid.stat()).length, 9n, 'its length is that of what it returns')
})

t.test('a file of fixed bytes reports its length and refuses writes', async t => {
  const root = await tree(t, of({ b: bytes('hello', { owner }) }))
  t.equal((await (await root.walk(['b'])).stat()).length, 5n)
  t.equal(decode(await root.readFile('b')), 'hello')
  await t.rejects(root.writeFile('b', 'x'), { message: 'permission denied' })
})

t.test('a ctl file runs all lines of a write or none', async t => {
  const did: string[] = []
  const verbs = {
    say: word1('WORD', String, w => {
      did.push(w)
    }),
    stop: word(() => {
      did.push('stop')
    }),
  }
  const root = await tree(t, of({ ctl: ctl({ owner, verbs, read: () => did.join() }) }))
  await root.writeFile('ctl', "# a comment\nsay 'two words'\n\nstop\n")
  t.same(did, ['two words', 'stop'])
  await t.rejects(root.writeFile('ctl', 'say one\nfly\n'), { message: 'unknown command: fly; commands: say stop' })
  await t.rejects(root.writeFile('ctl', 'say one\nstop now\n'), { message: /unexpected argument "now"/ })
  await t.rejects(root.writeFile('ctl', 'constructor\n'), { message: /unknown command: constructor/ })
  await t.rejects(root.writeFile('ctl', 'x'.repeat(5000)), {
    message: `unknown command: ${'x'.repeat(64)}…; commands: say stop`,
  })
  t.equal(did.length, 2)
})

t.test('a command that a shell writes in pieces is refused as a whole, with the reason', async t => {
  const did: string[] = []
  const verbs = { say: word1('WORD', String, w => void did.push(w)) }
  const root = await tree(t, of({ ctl: ctl({ owner, verbs, read: () => '' }) }))
  const said = Buffer.from(`say ${'x'.repeat(9000)}\n`)
  const fid = await open(root, 'ctl', OWRITE)
  // as the echo of dash writes it
  for (let at = 0; at < said.length; at += 4096)
    await t.rejects(fid.write(at, said.subarray(at, at + 4096)), {
      message: /^bad argument: a command over 4095 bytes, or without a newline at its end, .* use cat or llamboctl/,
    })
  t.same(did, [])
  await fid.write(0, Buffer.from('say more\n'))
  await fid.write(0, said)
  await fid.write(0, Buffer.from('say unended'))
  t.same(did, ['more', 'x'.repeat(9000), 'unended'])
  await fid.clunk()
})

t.test('several readers read a log by offset and wait at its end', async t => {
  const log = new AppendLog(100)
  const root = await tree(t, of({ log: logFile(() => log, owner) }))
  const [a, b] = [await open(root, 'log'), await open(root, 'log')]
  const waiting = [a.read(0, 100), b.read(2, 100)]
  log.append('hello')
  t.same((await Promise.all(waiting)).map(decode), ['hello', 'llo'])
  const last = a.read(5, 100)
  t.throws(() => log.append('x'.repeat(100)), { message: /over 100 bytes/ })
  log.end(fail('io', 'the disk is gone'))
  await t.rejects(last, { message: 'i/o error: the disk is gone', errno: 5 })
  t.equal(decode(await b.read(0, 100)), 'hello', 'what came before the error can still be read')
})

t.test(
  'a feed begins with the newest hundred lines, and tells a reader that falls behind how many it lost',
  async t => {
    const feed = new EventLog()
    for (let i = 0; i < 150; i++) feed.add('tick', { i })
    const root = await tree(t, of({ events: feed.stream(owner) }))
    const fid = await open(root, 'events')
    const begin = await fid.read(0, 65536)
    const first = decode(begin).trim().split('\n')
    t.equal(first.length, 100)
    t.match(first[0], /^seq=51 time=\S+ kind=tick i=50$/)
    for (let i = 0; i < 30_000; i++) feed.add('tock')
    let rest = ''
    for (let at = begin.length; ; ) {
      const piece = decode(await fid.read(at, 65536))
      rest += piece
      at += piece.length
      if (/seq=30150 [^\n]*\n$/.test(rest)) break
    }
    const lines = rest.trim().split('\n')
    t.match(lines[0], /^lost=\d+$/)
    const lost = Number(lines[0]!.slice(5))
    t.equal(lost + lines.length - 1, 30_000, 'lost and read lines add up to all lines')
    t.match(lines[1], new RegExp(`^seq=${151 + lost} `))
  },
)

t.test(
  'the log of a feed has its true length, grows and ends, and restarts with the newest hundred lines when it is cut',
  async t => {
    const feed = new EventLog()
    for (const kind of ['one', 'two']) feed.add(kind)
    const root = await tree(t, of({ events: feed.file(owner), event: feed.stream(owner) }))
    const fid = await open(root, 'events')
    const whole = decode(await fid.read(0, 65536))
    t.match(whole, /^seq=1 \S+ kind=one\nseq=2 \S+ kind=two\n$/)
    t.equal(Number((await fid.stat()).length), whole.length)
    t.equal((await fid.read(whole.length, 100)).length, 0, 'a read at its end does not wait')
    feed.add('three')
    t.match(
      decode(await fid.read(whole.length, 100)),
      /^seq=3 \S+ kind=three\n$/,
      'the same reader can read a line added later',
    )
    const names = (await (await (await root.walk([])).open(OREAD)).list()).map(({ name }) => name)
    t.same(names, ['events'], 'the stream is not listed')
    for (let i = 4; i < 20_000; i++) feed.add('tick')
    const before = Number((await fid.stat()).length)
    feed.add('last')
    const after = decode(await (await open(root, 'events')).read(0, 65536))
    t.ok(after.length < before)
    t.match(after, /^seq=19901 /)
    t.match(after, /seq=20000 \S+ kind=last\n$/)
  },
)

t.test(
  'a stat of generated text has its current length, a stat of an open fid the length of what that reads',
  async t => {
    let now = 'one\n'
    const root = await tree(
      t,
      of({ file: text(() => now, { owner }), bad: text(() => Promise.reject(fail('io')), { owner }) }),
    )
    t.equal(Number((await (await root.walk(['file'])).stat()).length), 4)
    const fid = await open(root, 'file')
    t.equal(Number((await fid.stat()).length), 4)
    now = 'longer\n'
    t.equal(Number((await (await root.walk(['file'])).stat()).length), 7)
    t.equal(Number((await fid.stat()).length), 4, 'the length of what this open reads')
    t.equal(decode(await fid.read(0, 100)), 'one\n')
    const listed = await (await (await root.walk([])).open(OREAD)).list()
    t.same(
      listed.map(({ name, length }) => [name, Number(length)]),
      [
        ['file', 7],
        ['bad', 0],
      ],
      'text that cannot be generated has length 0',
    )
  },
)

t.test('a reader of single bytes gets the whole of each line of a feed', async t => {
  const feed = new EventLog()
  feed.add('one')
  const root = await tree(t, of({ events: feed.stream(owner) }))
  const fid = await open(root, 'events')
  let line = ''
  while (!line.endsWith('\n')) line += decode(await fid.read(line.length, 1))
  t.match(line, /^seq=1 time=\S+ kind=one\n$/)
})

t.test(
  'a reader that reads ahead and seeks back to the end of a line, as bash does, gets every line of a feed',
  async t => {
    const feed = new EventLog()
    for (const kind of ['one', 'two', 'three']) feed.add(kind)
    const root = await tree(t, of({ events: feed.stream(owner) }))
    const fid = await open(root, 'events')
    const kinds: string[] = []
    for (let at = 0; kinds.length < 4; ) {
      const line = decode(await fid.read(at, 4096)).split('\n')[0]!
      at += line.length + 1
      kinds.push(line.replace(/.* kind=/, ''))
      if (kinds.length === 3) feed.add('four')
    }
    t.same(kinds, ['one', 'two', 'three', 'four'])
  },
)

t.test('an open of a clone file creates something, a stat or a listing does not', async t => {
  let made = 0
  const commands: string[] = []
  const make = () => {
    const name = String(++made)
    const verbs = { go: word(() => void commands.push(name)) }
    return { name, ctl: ctl({ owner, verbs, read: () => '' }) }
  }
  const root = await tree(t, of({ clone: clone(make, owner) }))
  await (await root.walk(['clone'])).stat()
  await list(root, [])
  t.equal(made, 0)
  const [a, b] = [await open(root, 'clone', ORDWR), await open(root, 'clone', ORDWR)]
  t.same([decode(await a.read(0, 9)), decode(await b.read(0, 9))], ['1\n', '2\n'])
  await b.write(0, encode('go'))
  t.same(commands, ['2'])
})

t.test('a union shows each name once and finds it in the first directory that has it', async t => {
  const one = of({ a: bytes('1', { owner }), b: bytes('1', { owner }) })
  const two = of({ b: bytes('2', { owner }), c: bytes('2', { owner }) })
  const root = await tree(t, of({ u: union(() => [one, two], owner) }))
  t.same(await list(root, ['u']), ['a', 'b', 'c'])
  t.equal(decode(await root.readFile('u/b')), '1')
  t.equal(decode(await root.readFile('u/c')), '2')
  await t.rejects(root.readFile('u/d'), { message: 'file does not exist' })
})

t.test('a union skips members that fail or do not answer, unless all of them do', async t => {
  // its 3 s pass as soon as nothing else happens
  const clock: Clock = { ...systemClock, after: (_ms, call) => clearImmediate.bind(undefined, setImmediate(call)) }
  const never = () => new Promise<never>(() => undefined)
  const hangs = generated({ owner, walk: never, list: never })
  const refuse = () => {
    throw fail('hungUp')
  }
  const fails = generated({ owner, walk: refuse, list: refuse })
  const works = of({ a: bytes('1', { owner }) })
  const root = await tree(
    t,
    of({
      some: union(() => [hangs, fails, works], owner, 0o555, clock),
      none: union(() => [hangs, fails], owner, 0o555, clock),
    }),
  )
  t.same(await list(root, ['some']), ['a'])
  t.equal(decode(await root.readFile('some/a')), '1')
  await t.rejects(list(root, ['none']), { message: 'i/o error: no answer within 3 s' })
})

t.test('a directory of a hundred thousand entries is listed completely', async t => {
  const entries = Array.from({ length: 100_000 }, (_, i) => [`f${i}`, bytes('', { owner })] as const)
  const files = new Map<string, File>(entries)
  const big = generated({ owner, walk: n => files.get(n), list: () => files })
  const root = await tree(t, of({ big }))
  const names = await list(root, ['big'])
  t.equal(names.length, 100_000)
  t.equal(new Set(names).size, 100_000)
})

t.test('a remote tree is a directory here, and each user is attached there under their own name', async t => {
  const log = new AppendLog()
  const settings: string[] = []
  const far = of({
    who: text(({ user }) => user.name, { owner }),
    log: logFile(() => log, owner, 0o444),
    private: bytes('x', { owner: { name: 'ann', uid: 1 }, mode: 0o400 }),
    ctl: ctl({ owner, mode: 0o666, verbs: { set: word1('X', String, x => void settings.push(x)) }, read: () => '' }),
    deep: of({ er: bytes('down', { owner }) }),
  })
  const attached: string[] = []
  const middle = of({
    worker: remote({
      attaches: attachesOfUsers(user => {
        attached.push(user.name)
        return tree(t, far, user.name)
      }),
    }),
  })
  const near = of({ cluster: remote({ attaches: attachesOfUsers(user => tree(t, middle, user.name)) }) })
  for (const [root, at] of [
    [await tree(t, middle, 'ann'), 'worker'],
    [await tree(t, near, 'ann'), 'cluster/worker'],
  ] as const) {
    const path = at.split('/')
    t.same(await list(root, path), ['who', 'log', 'private', 'ctl', 'deep'])
    t.equal(decode(await root.readFile(`${at}/who`)), 'ann')
    t.equal(decode(await root.readFile(`${at}/deep/er`)), 'down')
    t.equal((await (await root.walk([...path, 'deep', 'er'])).stat()).length, 4n)
    await root.writeFile(`${at}/ctl`, 'set it')
    await t.rejects(root.writeFile(`${at}/ctl`, 'unset'), { message: /^unknown command: unset/, errno: 22 })
    await t.rejects(root.readFile(`${at}/nothing`), { message: 'file does not exist' })
    const fid = await open(root, `${at}/log`)
    const stop = new AbortController()
    const waiting = fid.read(log.length, 100, stop.signal)
    stop.abort()
    await t.rejects(waiting, { message: 'interrupted' })
    const again = fid.read(log.length, 100)
    log.append('more')
    t.equal(decode(await again), 'more', 'the flush reached the remote server and lost no data')
  }
  t.same(settings, ['it', 'it'])
  const bob = await tree(t, middle, 'bob')
  t.equal(decode(await bob.readFile('worker/who')), 'bob')
  await t.rejects(bob.readFile('worker/private'), { message: 'permission denied', errno: 13 })
  t.equal(attached.filter(name => name === 'bob').length, 1, 'there is one attach per user')
})

t.test(
  'a user who comes with another role attaches to a remote tree again, so that tokens do not share permissions',
  async t => {
    const roles: string[] = []
    const far = of({ a: bytes('1', { owner }) })
    const there = remote({
      attaches: attachesOfUsers(user => {
        roles.push(user.role)
        return tree(t, far, user.name)
      }),
    })
    for (const role of ['admin', 'read', 'admin'] as const)
      await there.walk!('a', { user: { name: 'ann', uid: 1, role }, signal: new AbortController().signal })
    t.same(roles, ['admin', 'read'])
  },
)

t.test('a file that a remote tree has created but cannot stat is closed there', async t => {
  let closes = 0
  const made: File = {
    qid: newQid(),
    attributes: () => Promise.reject(fail('io')),
    open: () => ({}),
  }
  const empty = generated({ owner, mode: 0o777, walk: () => undefined, list: () => [] })
  const far: File = { ...empty, create: () => ({ file: made, opened: { close: () => void closes++ } }) }
  const root = await tree(t, remote({ attaches: attachesOfUsers(() => tree(t, far)) }))
  await t.rejects((await root.walk([])).create('new', 0o644, OREAD), { message: 'i/o error' })
  t.equal(closes, 1)
})

t.test('with ?chunk each short read of a stream is followed by one empty read', async t => {
  const log = new AppendLog()
  log.append('one')
  const root = await tree(t, of({ log: logFile(() => log, owner), b: bytes('plain', { owner }) }), 'root', '/?chunk')
  const fid = await open(root, 'log')
  t.equal(decode(await fid.read(0, 100)), 'one')
  t.equal((await fid.read(3, 100)).length, 0, 'the boundary is an empty read')
  const next = fid.read(3, 100)
  log.append('two')
  t.equal(decode(await next), 'two')
  t.equal((await fid.read(6, 100)).length, 0)
  t.equal(
    decode(await fid.read(0, 6)),
    'onetwo',
    'a full read has no boundary: a reader of single bytes must not see an end',
  )
  log.append('three')
  t.equal(decode(await fid.read(6, 100)), 'three')
  t.equal((await fid.read(11, 100)).length, 0)
  log.end()
  t.equal((await fid.read(11, 100)).length, 0, 'the end of the log')
  t.equal(decode(await root.readFile('b')), 'plain')
})

t.test('anything but an FsError that a file throws becomes an i/o error for the client', async t => {
  const broken: File = {
    qid: newQid(),
    attributes: () => ({ mode: 0o666, owner, length: 0, mtime: 0, atime: 0 }),
    open: (): Opened => ({
      read: () => {
        throw new TypeError('a fault in the tree')
      },
      write: async () => {
        throw new TypeError('another')
      },
    }),
  }
  const [near, far] = transportPair()
  const faults: unknown[] = []
  serve(far, {
    attach: () => ({ root: of({ broken }), user: { name: 'root', uid: 0, role: 'admin' } }),
    onerror: e => faults.push(e),
  })
  const client = await Client.connect(near)
  t.teardown(() => client.close())
  const root = await client.attach({ uname: 'root' })
  await t.rejects(root.readFile('broken'), { message: 'i/o error', errno: 5 })
  const fid = await open(root, 'broken', OWRITE)
  await t.rejects(fid.write(0, encode('x')), { message: 'i/o error' })
  t.equal(faults.length, 2)
})

t.test('the root of a mounted tree with an owner here is shown without asking its server', async t => {
  const never = () => new Promise<never>(() => undefined)
  const ctx = { user: { name: 'glenda', uid: 1000, role: 'use' as const }, signal: new AbortController().signal }
  const mounted = remote({ attaches: attachesOfUsers(never), owner: { name: 'ann', uid: 7 } })
  t.match(await mounted.attributes(ctx), { mode: 0o555, owner: { name: 'ann', uid: 7 }, length: 0 })
})
