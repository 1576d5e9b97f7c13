/** Tests of `models/` over 9P. */
import { copyFileSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { ModelStore } from '../../../cluster/worker/models.js'
import { Client } from '../../../fs/client/client.js'
import type { User } from '../../../fs/file.js'
import { dir } from '../../../fs/kit/dir.js'
import { serve } from '../../../fs/server/server.js'
import { transportPair } from '../../../fs/transport/pair.js'
import { type Dialect, DMDIR, OREAD, OTRUNC, OWRITE } from '../../../fs/wire/protocol.js'
import { gguf } from './ggufBytes.js'

const bundled = fileURLToPath(new URL('../../../../models/llambo-tiny.gguf', import.meta.url))
const owner = { name: 'ada', uid: 1000 }
const faults: unknown[] = []

/** Starts a server with a model in its store. `attach` makes a client with a role: the owner, an admin, a user. */
function served(t: Test) {
  const where = t.testdir()
  copyFileSync(bundled, join(where, 'llambo-tiny.gguf'))
  const root = dir(new Map([['models', new ModelStore(where, { owner }).root]]), owner)
  const attach = async (uname: string, role: User['role'], dialect: Dialect = '9P2000.u') => {
    const [near, far] = transportPair()
    serve(far, { attach: () => ({ root, user: { name: uname, uid: 1, role } }), onerror: e => faults.push(e) })
    const client = await Client.connect(near, { dialect })
    t.teardown(() => client.close())
    return await client.attach({ uname })
  }
  return { where, attach }
}

for (const dialect of ['9P2000', '9P2000.u', '9P2000.L'] as const) {
  t.test(`over ${dialect}, a model is listed with its length, read, uploaded and removed`, async t => {
    const { where, attach } = served(t)
    const root = await attach('ada', 'admin', dialect)
    const listing = await (await root.walk(['models'])).open(OREAD)
    t.match(
      (await listing.list()).map(stat => stat.name),
      ['llambo-tiny.gguf'],
    )
    t.equal((await (await root.walk(['models', 'llambo-tiny.gguf'])).stat()).length, 2840000n)
    const bytes = await root.readFile('models/llambo-tiny.gguf')
    t.ok(readFileSync(bundled).equals(bytes))

    const made = await (await root.walk(['models'])).create('Copy.gguf', 0o644, OWRITE)
    t.equal(await made.write(0, bytes), 2840000)
    t.equal((await (await root.walk(['models', 'Copy.gguf'])).stat()).length, 2840000n, 'its writer sees it grow')
    await made.clunk()
    t.ok(readFileSync(join(where, 'Copy.gguf')).equals(readFileSync(bundled)))
    await (await root.walk(['models', 'Copy.gguf'])).remove()
    t.same(readdirSync(where), ['llambo-tiny.gguf'])
  })

  t.test(`over ${dialect}, a damaged upload fails its sync and leaves nothing behind`, async t => {
    const { where, attach } = served(t)
    const root = await attach('ada', 'admin', dialect)
    const made = await (await root.walk(['models'])).create('bad.gguf', 0o644, OWRITE)
    await made.write(0, gguf({ data: 76 }))
    const errno = dialect === '9P2000' ? {} : { errno: 74 }
    const message = dialect === '9P2000.L' ? /damaged/ : /model file is damaged: tensor 1 ends 120 bytes past the end/
    await t.rejects(made.sync(), { message, ...errno })
    await made.clunk()
    t.same(readdirSync(where), ['llambo-tiny.gguf'])
  })
}

t.test('a clunk without a sync says why the upload did not become a model', async t => {
  const { attach } = served(t)
  const root = await attach('ada', 'admin')
  const made = await (await root.walk(['models'])).create('bad.gguf', 0o644, OWRITE)
  await made.write(0, Buffer.from('no model'))
  await t.rejects(made.clunk(), { message: /damaged: 8 bytes/ })
})

t.test('a model is replaced by opening it with truncation, in one request or two', async t => {
  const { where, attach } = served(t)
  const root = await attach('ada', 'admin')
  await root.writeFile('models/llambo-tiny.gguf', gguf())
  t.ok(readFileSync(join(where, 'llambo-tiny.gguf')).equals(gguf()))
  const fid = await (await root.walk(['models', 'llambo-tiny.gguf'])).open(OWRITE)
  await fid.wstat({ length: 0n })
  await fid.write(0, gguf({ version: 2 }))
  await fid.clunk()
  t.ok(readFileSync(join(where, 'llambo-tiny.gguf')).equals(gguf({ version: 2 })))
})

t.test('an admin may upload, replace and remove models; others may only read', async t => {
  const { where, attach } = served(t)
  const bob = await attach('bob', 'admin')
  const made = await (await bob.walk(['models'])).create('b.gguf', 0o644, OWRITE)
  await made.write(0, gguf())
  await made.clunk()
  await bob.writeFile('models/b.gguf', gguf({ version: 2 }))
  for (const role of ['use', 'read'] as const) {
    const eve = await attach('eve', role)
    t.equal((await eve.readFile('models/b.gguf')).length, gguf().length)
    const denied = { message: /permission denied/ }
    await t.rejects((await eve.walk(['models'])).create('e.gguf', 0o644, OWRITE), denied)
    await t.rejects((await eve.walk(['models', 'b.gguf'])).open(OWRITE | OTRUNC), denied)
    await t.rejects((await eve.walk(['models', 'b.gguf'])).remove(), denied)
  }
  await t.rejects((await bob.walk(['models'])).create('d', DMDIR | 0o755, OREAD), {
    message: /cannot have subdirectories/,
  })
  await (await bob.walk(['models', 'b.gguf'])).remove()
  t.same(readdirSync(where), ['llambo-tiny.gguf'])
})

t.test('a connection that breaks during an upload leaves nothing behind', async t => {
  const { where, attach } = served(t)
  const root = await attach('ada', 'admin')
  const made = await (await root.walk(['models'])).create('a.gguf', 0o644, OWRITE)
  await made.write(0, gguf().subarray(0, 100))
  t.equal(readdirSync(where).length, 2)
  root.client.close()
  for (let i = 0; i < 100 && readdirSync(where).length > 1; i++) await new Promise(resolve => setTimeout(resolve, 20))
  t.same(readdirSync(where), ['llambo-tiny.gguf'])
})

t.test('the server reported no internal error in these tests', async t => {
  t.same(faults, [])
})
