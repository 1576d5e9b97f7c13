/** The client against the ways of other 9P servers. */
import t, { type Test } from 'tap'
import { FsError, received } from '../../fs/base/errors.js'
import { errnoOf } from '../../fs/base/foreign-errors.js'
import { attachesOfUsers } from '../../fs/client/attaches.js'
import { Client, type ClientOptions } from '../../fs/client/client.js'
import { remote } from '../../fs/kit/remote.js'
import { serve } from '../../fs/server/server.js'
import { transportPair } from '../../fs/transport/pair.js'
import { DMDIR, OREAD, OWRITE } from '../../fs/wire/protocol.js'
import { ForeignServer, type Manner, manners } from '../foreign.js'
import { options } from './tree.js'

/** A client of a foreign server. */
async function connected(t: Test, manner: Manner, options: ClientOptions = {}) {
  const server = new ForeignServer(manner)
  const [ours, theirs] = transportPair()
  server.serve(theirs)
  const client = await Client.connect(ours, options)
  t.teardown(() => client.close())
  return { server, client }
}

t.test('the texts of foreign servers for a missing file mean ENOENT', async t => {
  for (const ename of [
    'file not found',
    'file does not exist',
    "'notes' file does not exist",
    'file does not exist: notes',
    'No such file or directory',
    'open /srv/notes: no such file or directory',
    'directory entry not found',
    'illegal path element',
    'directory entry is not allocated',
  ])
    t.match(received(ename), { errno: 2, isMissing: true, message: ename })
})

t.test('other texts of foreign servers have their errno, and an unknown text is EIO', async t => {
  for (const [ename, errno] of [
    ['permission denied', 13],
    ['file already exists', 17],
    ['create in non-directory', 20],
    ['Directory not empty', 39],
    ['wstat prohibited', 1],
    ['file system is full', 28],
    ['i/o on hungup channel', 5],
    ['the disk is on fire', 5],
    // a name that looks like an error is a name
    ["'file not found' is here", 5],
  ] as const)
    t.equal(received(ename).errno, errno, ename)
  t.equal(errnoOf(''), undefined)
})

t.test('an errno that was received counts, unless it is out of range', async t => {
  t.equal(received('file not found', 13).errno, 13)
  t.equal(received('file not found', 0xffffffff).errno, 2, 'the "no errno" of 9P2000.u')
  t.equal(received('file not found', 4096).errno, 2)
})

for (const name of ['lib9p', 'go9p', 'inferno', 'plain', 'linux', 'ganesha'] as const)
  t.test(`${name}: a needless token is not sent, a missing name is ENOENT, and a new file is listed`, async t => {
    const { server, client } = await connected(t, manners[name])
    const root = await client.attach({ uname: 'glenda', token: 'llb_of-no-use' })
    t.match(
      server.requests.find(line => line.startsWith('Tattach')),
      /afid (0xffffffff|~0|4294967295)/,
    )
    t.notOk(
      server.requests.some(line => line.startsWith('Twrite')),
      'the token was not sent',
    )
    t.match(await root.walk(['x']).catch((error: FsError) => error), { errno: 2 })
    const made = await (await root.walk([])).create('new', 0o644, OWRITE)
    await made.write(0, new TextEncoder().encode('text'))
    await made.clunk()
    const dir = await (await root.walk([])).open(OREAD)
    t.same(
      (await dir.stats()).map(({ name, length }) => [name, length]),
      [['new', 4n]],
    )
  })

for (const name of ['lib9p', 'linux', 'ganesha'] as const)
  t.test(`${name}: a file is overwritten with shorter content, and removed`, async t => {
    const { server, client } = await connected(t, manners[name])
    server.add('dir')
    server.add('dir/old', 'a long text')
    const root = await client.attach({ uname: 'glenda' })
    await root.writeFile('dir/old', 'short')
    t.equal(server.file('dir/old')?.data.toString(), 'short')
    const fid = await root.walk(['dir', 'old'])
    await fid.remove()
    t.notOk(server.file('dir/old'))
    await t.rejects(fid.stat(), /was (clunked|removed)/)
    await (await root.walk(['dir'])).remove()
    t.notOk(server.file('dir'))
    t.equal((await root.walk([])).fid, 1, 'all fids were clunked')
  })

t.test('the client asks for msize 65,535 if a server agrees to plain 9P2000 with a larger one', async t => {
  const { server, client } = await connected(t, manners.inferno, { msize: 1024 * 1024 })
  t.match(client, { dialect: '9P2000', msize: 65535 })
  t.same(
    server.requests.map(line => line.replace(/^Tversion tag \S+ /, '')),
    ['msize 1048576 version 9P2000.u', 'msize 65535 version 9P2000'],
  )
  const root = await client.attach({ uname: 'glenda' })
  const names = Array.from({ length: 2000 }, (_, i) => `file-${i}`)
  for (const name of names) server.add(name, '')
  const dir = await (await root.walk([])).open(OREAD)
  t.same(
    (await dir.list()).map(({ name }) => name),
    names,
    'a listing of more than 65,535 bytes is complete',
  )
})

t.test('the client proposes plain 9P2000 last', async t => {
  const { server, client } = await connected(t, manners.plain)
  t.match(client, { dialect: '9P2000', msize: 8192 })
  t.same(
    server.requests.map(line => line.replace(/^.*version /, '')),
    ['9P2000.u', '9P2000.L', '9P2000'],
  )
})

t.test('a refusal of Tversion is read with and without an errno, and the last one is the error', async t => {
  for (const numbered of [true, false]) {
    const never: Manner = { ...manners.plain, version: () => ({ ename: 'not today', errno: 95, numbered }) }
    await t.rejects(connected(t, never), { message: 'not today' })
  }
})

t.test('the client accepts a dialect that it did not propose if it speaks it', async t => {
  t.match((await connected(t, manners.linux)).client, { dialect: '9P2000.L' })
  t.match((await connected(t, manners.linux, { dialect: '9P2000.u' })).client, { dialect: '9P2000.L' })
  const later: Manner = { ...manners.lib9p, version: msize => ({ msize, version: '9P2027' }) }
  await t.rejects(connected(t, later), { message: /answered "9P2027"; this client speaks 9P2000.u, 9P2000.L, 9P2000/ })
})

t.test('if both Tauth and Tattach fail, the error has the texts of both', async t => {
  const closed: Manner = { ...manners.lib9p, auth: { ename: 'p9any: no key' } }
  const { client, server } = await connected(t, closed)
  server.root.children.clear()
  const attach = client.attach.bind(client)
  // its Tattach requires an afid, as with fossil and factotum of Plan 9
  const rpc = client.rpc.bind(client)
  client.rpc = ((m: { type: string }, ...rest: []) =>
    m.type === 'Tattach'
      ? Promise.reject(new FsError('attach -- unknown user', 13))
      : rpc(m as never, ...rest)) as typeof client.rpc
  await t.rejects(attach({ uname: 'glenda', token: 'llb_x' }), {
    errno: 13,
    message: 'attach -- unknown user; the server refused the token before that: p9any: no key',
  })
})

t.test('9P2000.L: a new file has the group of this process, or the one that is given', async t => {
  const { client, server } = await connected(t, manners.linux)
  const root = await client.attach({ uname: 'glenda' })
  const at = (gid?: number) => async (name: string, perm: number) =>
    (await root.walk([])).create(name, perm, perm & DMDIR ? OREAD : OWRITE, undefined, gid)
  await at()('file', 0o644)
  await at()('dir', (DMDIR | 0o755) >>> 0)
  await at(77)('given', 0o644)
  t.equal(server.file('file')?.gid, process.getgid!())
  t.equal(server.file('dir')?.gid, process.getgid!())
  t.equal(server.file('given')?.gid, 77)
})

t.test('9P2000.L: the listing of a mounted tree has the length, mode and time of its files', async t => {
  const { client, server } = await connected(t, manners.linux)
  server.add('notes', 'some text')
  const attach = () => client.attach({ uname: 'glenda' })
  const [ours, theirs] = transportPair()
  serve(theirs, {
    attach: () => ({
      root: remote({ attaches: attachesOfUsers(attach) }),
      user: { name: 'glenda', uid: 0, role: 'admin' },
    }),
  })
  const through = await Client.connect(ours)
  t.teardown(() => through.close())
  const dir = await (await through.attach({ uname: 'glenda' })).walk([])
  const [entry] = await (await dir.open(OREAD)).stats()
  t.match(entry, { name: 'notes', length: 9n, mode: 0o640, mtime: 1_000_000_000, n_uid: 12 })
})

t.test('our server serves a client with an msize of 512: walks, reads, listings and errors', async t => {
  for (const dialect of ['9P2000', '9P2000.u', '9P2000.L'] as const) {
    const [ours, theirs] = transportPair()
    serve(theirs, options())
    const client = await Client.connect(ours, { msize: 512, dialect })
    t.teardown(() => client.close())
    t.equal(client.msize, 512)
    const root = await client.attach({ uname: 'glenda' })
    t.equal(new TextDecoder().decode(await root.readFile('a/b/c/file')), 'deep\n')
    const dir = await (await root.walk(['many'])).open(OREAD)
    t.equal((await dir.list()).length, 100)
    // the error's detail contains the name of 400 bytes
    await t.rejects(root.walk(['x'.repeat(400)]), FsError)
    t.equal((await root.stat()).name, '/')
  }
})

t.test('only llambo servers are asked to check a file that is complete', async t => {
  const { client, server } = await connected(t, manners.lib9p)
  const file = await (await (await client.attach({ uname: 'glenda' })).walk([])).create('new', 0o644, OWRITE)
  await file.write(0, new Uint8Array(3))
  await file.finish()
  t.notOk(server.requests.some(line => line.startsWith('Twstat')))
  await t.rejects(file.sync(), { message: 'wstat prohibited', errno: 1 }, 'an explicit sync is sent to any server')

  const [ours, theirs] = transportPair()
  const lines: string[] = []
  serve(theirs, { ...options(), trace: line => lines.push(line) })
  const own = await Client.connect(ours)
  t.teardown(() => own.close())
  const mine = await (await (await own.attach({ uname: 'glenda' })).walk(['queue'])).open(OWRITE)
  await mine.finish()
  await mine.finish()
  t.equal(lines.filter(line => line.startsWith('<- Twstat')).length, 2)
  t.equal(
    lines.filter(line => line.startsWith('<- Tstat')).length,
    1,
    'the client asks only once whether it is a llambo server',
  )
})

t.test('9P2000.L: a time outside the range of a stat becomes the nearest in range', async t => {
  const { client, server } = await connected(t, manners.linux)
  const file = server.add('old', '')
  const root = await client.attach({ uname: 'glenda' })
  for (const [sent, told] of [
    [(1n << 64n) - 5n, 0],
    [1n << 60n, 0xffffffff],
  ] as const) {
    file.mtime = sent
    t.equal((await (await root.walk(['old'])).stat()).mtime, told)
  }
})
