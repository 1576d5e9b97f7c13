/** Tests the attaches that are kept for the users of one connection. */
import t from 'tap'
import { fail } from '../../fs/base/errors.js'
import { MAX_ATTACHES } from '../../fs/base/limits.js'
import { attachesOfUsers } from '../../fs/client/attaches.js'
import { Client } from '../../fs/client/client.js'
import type { User } from '../../fs/file.js'
import { text } from '../../fs/kit/content.js'
import { dir } from '../../fs/kit/dir.js'
import { remote } from '../../fs/kit/remote.js'
import { serve } from '../../fs/server/server.js'
import { transportPair } from '../../fs/transport/pair.js'

const owner = { name: 'glenda', uid: 1 }
const root = dir(new Map([['name', text(({ user }) => user.name, { owner })]]), owner)
const user = (n: number): User => ({ name: `u${n}`, uid: n, role: 'use' })

/** A connection to a server of that tree. */
async function connect(): Promise<Client> {
  const [near, far] = transportPair()
  serve(far, { attach: ({ uname, n_uname }) => ({ root, user: { name: uname, uid: n_uname, role: 'use' } }) })
  return Client.connect(near)
}

t.test('more users than are kept attached use a remote tree, the first ones again and again', async t => {
  const client = await connect()
  t.teardown(() => client.close())
  let attached = 0
  const attach = ({ name: uname, uid: n_uname }: User) => {
    attached++
    return client.attach({ uname, n_uname })
  }
  const tree = remote({ attaches: attachesOfUsers(attach) })
  const walk = (n: number) => tree.walk!('name', { user: user(n), signal: new AbortController().signal })
  for (let n = 0; n <= MAX_ATTACHES; n++) await walk(n)
  t.equal(attached, MAX_ATTACHES + 1)
  t.ok(await walk(0), 'the user whose attach was dropped')
  t.equal(attached, MAX_ATTACHES + 2)
  t.ok(await walk(0))
  t.equal(attached, MAX_ATTACHES + 2, 'the attach is kept again')
})

t.test('neither a refusal nor a fid of a connection that has closed is kept', async t => {
  const clients: Client[] = []
  t.teardown(() => {
    for (const client of clients) client.close()
  })
  let refuse = true
  const attaches = attachesOfUsers(async ({ name: uname }) => {
    if (refuse) throw fail('permission')
    const client = await connect()
    clients.push(client)
    return client.attach({ uname })
  })
  await t.rejects(async () => attaches.root(user(1)), { message: 'permission denied' })
  refuse = false
  const fid = await attaches.root(user(1))
  t.equal(attaches.root(user(1)), fid, 'at once')
  clients[0]!.close()
  await clients[0]!.closed
  const again = await attaches.root(user(1))
  t.not(again, fid)
  t.equal(again.client, clients[1])
})
