/** Files used through client and server, in every dialect and over every transport. */
import t, { type Test } from 'tap'
import { toGetattr } from '../../fs/base/attributes.js'
import { Client, type Fid } from '../../fs/client/client.js'
import { newQid } from '../../fs/file.js'
import { serve } from '../../fs/server/server.js'
import { transportPair } from '../../fs/transport/pair.js'
import { type Dialect, DMDIR, NONUNAME, ORDWR, OREAD, OTRUNC, OWRITE } from '../../fs/wire/protocol.js'
import { dialects } from './arbitrary.js'
import { ways } from './over.js'
import { options } from './tree.js'

const bytes = (s: string) => new TextEncoder().encode(s)
const string = (b: Uint8Array) => new TextDecoder().decode(b)

async function attached(t: Test, dialect: Dialect, msize = 8192): Promise<Fid> {
  const [ours, theirs] = transportPair()
  const session = serve(theirs, options())
  const client = await Client.connect(ours, { dialect, msize })
  t.teardown(async () => {
    client.close()
    await session.closed
  })
  return client.attach({ uname: 'glenda', n_uname: 1000 })
}

for (const dialect of dialects) {
  t.test(`${dialect}: files are read, and stat describes them`, async t => {
    const root = await attached(t, dialect)
    t.equal(root.client.dialect, dialect)
    t.equal(string(await root.readFile('hello')), 'hello, world\n')
    t.equal(string(await root.readFile('/a/b/c/file')), 'deep\n')
    const hello = await root.walk(['hello'])
    const { name, length, mode, n_uid, uid, qid } = await hello.stat()
    t.match({ name, length, mode, qid }, { name: 'hello', length: 13n, mode: 0o444, qid: hello.qid })
    if (dialect === '9P2000.L') t.match({ n_uid, uid }, { n_uid: 1000, uid: '1000' })
    else t.equal(uid, 'glenda')
    if (dialect === '9P2000.u') t.equal(n_uid, 1000)
    await hello.clunk()
    t.match(await root.stat(), { name: '/', mode: (DMDIR | 0o555) >>> 0, length: 0n })
  })

  t.test(
    `${dialect}: a file whose owner has no gid has the owner's uid as its gid, which v9fs needs to write it`,
    async t => {
      const file = await (await attached(t, dialect)).walk(['private'])
      t.equal((await file.stat()).n_gid, dialect === '9P2000' ? NONUNAME : 1001)
    },
  )

  t.test(`${dialect}: a directory is listed completely, in as many reads as it takes`, async t => {
    const root = await attached(t, dialect, 4096)
    const many = await (await root.walk(['many'])).open(OREAD)
    const names = Array.from({ length: 100 }, (_, i) => `n${String(i).padStart(2, '0')}`)
    t.same(
      (await many.list()).map(stat => stat.name),
      names,
    )
    t.equal((await many.list()).length, 100, 'a second listing is complete, too')
    const top = await (await root.walk([])).open(OREAD)
    const entries = await top.list()
    t.same(
      entries.filter(({ mode }) => mode & DMDIR).map(({ name }) => name),
      ['a', 'many', 'empty', 'locked', 'ram'],
    )
    t.same(await (await (await root.walk(['empty'])).open(OREAD)).list(), [])
  })

  t.test(`${dialect}: files are created, truncated, renamed, synced and removed`, async t => {
    const root = await attached(t, dialect)
    const file = await (await root.walk(['ram'])).create('f', 0o640, ORDWR)
    t.equal(await file.write(0, bytes('content')), 7)
    t.equal(string(await file.read(3, 100)), 'tent')
    t.match(await file.stat(), { name: 'f', mode: 0o640, length: 7n })
    await file.sync()
    await file.wstat({ name: 'g' })
    t.equal((await file.stat()).name, 'g')
    await t.rejects(root.walk(['ram', 'f']), { message: 'file does not exist', errno: 2 })
    await root.writeFile('ram/g', 'new')
    t.equal(string(await file.read(0, 100)), 'new', 'writeFile replaces the content')
    await file.wstat({ length: 0n })
    t.equal(string(await file.read(0, 100)), '')
    await t.rejects(file.wstat({ length: 9n }), { message: /^permission denied/ })
    const dir = await (await root.walk(['ram'])).create('d', (DMDIR | 0o755) >>> 0, OREAD)
    t.ok(dir.qid.type & 0x80)
    t.match(await dir.stat(), { name: 'd', mode: (DMDIR | 0o755) >>> 0 })
    t.same(await dir.list(), [])
    await t.rejects((await root.walk(['ram'])).create('d', 0o644, OREAD), { message: 'file exists', errno: 17 })
    await (await root.walk(['ram', 'g'])).remove()
    t.equal(string(await file.read(0, 100)), '', 'an open fid keeps its removed file')
    await t.rejects(root.readFile('ram/g'), { message: 'file does not exist', errno: 2 })
    await t.rejects((await root.walk(['hello'])).remove(), { message: 'permission denied', errno: 13 })
  })

  t.test(`${dialect}: data larger than a message is read and written in several messages`, async t => {
    const root = await attached(t, dialect, 4096)
    const large = new Uint8Array(1_000_000).map((_, i) => i * 7)
    await (await (await root.walk(['ram'])).create('large', 0o644, OWRITE)).clunk()
    await root.writeFile('ram/large', large)
    t.ok(Buffer.from(await root.readFile('ram/large')).equals(large))
  })

  t.test(`${dialect}: errors have the same message and errno in every dialect`, async t => {
    const root = await attached(t, dialect)
    await t.rejects(root.walk(['none']), { message: 'file does not exist', errno: 2 })
    await t.rejects(root.walk(['a', 'none', 'c']), { message: 'file does not exist', errno: 2 })
    await t.rejects(root.readFile('private'), { message: 'permission denied', errno: 13 })
    await t.rejects(root.readFile('hello/x'), { message: 'not a directory', errno: 20 })
    await t.rejects((await root.walk(['a'])).open(OWRITE), { message: 'is a directory', errno: 21 })
  })

  t.test(`${dialect}: an interrupted read loses no data`, async t => {
    const root = await attached(t, dialect)
    const reader = await (await root.walk(['queue'])).open(OREAD)
    const stop = new AbortController()
    const waiting = reader.read(0, 100, stop.signal)
    const writer = await (await root.walk(['queue'])).open(OWRITE)
    stop.abort()
    await t.rejects(waiting, { message: 'interrupted', errno: 4 })
    const next = reader.read(0, 100)
    await writer.write(0, bytes('after all'))
    t.equal(string(await next), 'after all')
  })
}

t.test(
  '9P2000.L: an owner without a uid is shown as the nobody of Linux, because v9fs opens no file of an invalid uid',
  async t => {
    const attributes = { mode: 0o600, owner: { name: 'ann', uid: NONUNAME }, length: 0, mtime: 0, atime: 0 }
    t.match(toGetattr(newQid(), attributes, 4096), { uid: 65534, gid: 65534 })
  },
)

t.test('a path of any length, with .. in it, can be walked', async t => {
  const root = await attached(t, '9P2000.u')
  const round = ['a', 'b', 'c', '..', '..', '..']
  const names = [...round, ...round, ...round, ...round, 'a', 'b', 'c', 'file']
  const file = await root.walk(names)
  t.equal((await file.stat()).name, 'file')
  await t.rejects(root.walk([...names, 'x']), { message: /file does not exist|not a directory/ })
})

t.test('a file opened with OTRUNC is empty', async t => {
  const root = await attached(t, '9P2000.u')
  await (await (await root.walk(['ram'])).create('f', 0o644, OWRITE)).write(0, bytes('old'))
  const file = await (await root.walk(['ram', 'f'])).open(ORDWR | OTRUNC)
  t.equal(string(await file.read(0, 100)), '')
})

for (const [name, way] of Object.entries(ways))
  t.test(`over ${name}: each of many concurrent requests gets its own reply`, async t => {
    const over = await way(transport => serve(transport, options()))
    const client = await Client.connect(await over.dial())
    t.teardown(async () => {
      client.close()
      await over.close()
    })
    const root = await client.attach({ uname: 'glenda' })
    const dir = await root.walk(['ram'])
    await Promise.all(
      Array.from({ length: 200 }, async (_, i) => {
        const file = await (await dir.walk([])).create(`f${i}`, 0o644, ORDWR)
        await file.write(0, new Uint8Array(i * 100).fill(i))
        const back = await file.read(0, 100_000)
        if (back.length !== i * 100 || back.some(byte => byte !== i)) throw new Error(`f${i} has other content`)
        await file.remove()
      }),
    )
    t.equal((await (await dir.open(OREAD)).list()).length, 0)
  })

t.test('attach options of the tree reach it, chunk is handled by the server, and others are refused', async t => {
  const [ours, theirs] = transportPair()
  const seen: object[] = []
  const { attach } = options()
  const session = serve(theirs, {
    attachOptions: ['role', 'quiet'],
    attach(who) {
      seen.push(Object.fromEntries(who.options))
      return attach(who)
    },
  })
  const client = await Client.connect(ours)
  t.teardown(async () => {
    client.close()
    await session.closed
  })
  const names = async (aname: string) => (await client.attach({ uname: 'glenda', aname })).readFile('file')
  for (const aname of ['/a/b/c', '/a/b/c?', '/a/b/c?role=use&chunk', '/a/b/c?chunk&quiet&role=a=b&'])
    t.equal(string(await names(aname)), 'deep\n', aname)
  t.same(seen, [{}, {}, { role: 'use' }, { quiet: '', role: 'a=b' }])
  const bad: readonly (readonly [string, string])[] = [
    ['/?rule=use', 'unknown attach option rule=use; options: chunk role= quiet='],
    ['/?chunk=yes', 'unknown attach option chunk=yes; options: chunk role= quiet='],
    ['/?role=use&role=admin', 'attach option role is given twice'],
    ['/?=', 'unknown attach option =; options: chunk role= quiet='],
  ]
  for (const [aname, words] of bad)
    await t.rejects(client.attach({ uname: 'glenda', aname }), { message: `bad argument: ${words}` }, aname)
  t.equal(seen.length, 4)
})

t.test('a server without attach options of its own refuses all but chunk', async t => {
  const root = await attached(t, '9P2000.u')
  const message = 'bad argument: unknown attach option role=admin; options: chunk'
  await t.rejects((root.client as Client).attach({ uname: 'glenda', aname: '/?role=admin' }), { message })
})
