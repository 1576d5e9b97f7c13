import t, { type Test } from 'tap'
import { Client } from '../../fs/client.js'
import { fail } from '../../fs/errors.js'
import { type File, newQid, type Opened, type User } from '../../fs/file.js'
import { dir } from '../../fs/kit/dir.js'
import { OREAD, QTDIR } from '../../fs/message.js'
import { serve } from '../../fs/server.js'
import { transportPair } from '../../fs/transport/pair.js'
import { glenda } from './tree.js'

const later = (ms: number) => new Promise(resolve => setTimeout(resolve, ms))
const attributes = () => ({ mode: 0o777, owner: glenda, length: 0, mtime: 0, atime: 0 })

/** A tree whose opens and creates take 20 ms, and whose closes fail. */
function slowTree(closed: () => void): File {
  const open = async (): Promise<Opened> => {
    await later(20)
    return {
      async close() {
        closed()
        throw fail('badModel', 'of course')
      },
    }
  }
  const file: File = { qid: newQid(), attributes, open }
  return {
    qid: newQid(QTDIR),
    attributes,
    walk: () => file,
    open: () => ({}),
    create: async () => ({ file, opened: await open() }),
  }
}

async function attached(t: Test, root: File, uname = 'glenda', owner?: User) {
  const [near, far] = transportPair()
  const session = serve(far, {
    attach: who => ({ root, user: owner ?? { name: who.uname, uid: 1000, role: 'use' } }),
  })
  const client = await Client.connect(near, { msize: 4096 })
  t.teardown(async () => {
    client.close()
    await session.closed
  })
  return client.attach({ uname })
}

for (const what of ['open', 'create'] as const) {
  t.test(`a close that fails after a clunk has overtaken the ${what} harms nobody`, async t => {
    let closes = 0
    const unhandled: unknown[] = []
    const note = (error: unknown) => unhandled.push(error)
    process.on('unhandledRejection', note)
    t.teardown(() => process.off('unhandledRejection', note))
    const root = await attached(
      t,
      slowTree(() => closes++),
    )
    const fid = await root.walk(what === 'open' ? ['f'] : [])
    const under = what === 'open' ? fid.open(OREAD) : fid.create('f', 0o644, OREAD)
    const lost = t.rejects(under, { message: 'unknown fid' })
    await fid.clunk()
    await lost
    await later(30)
    t.equal(closes, 1, 'it is closed')
    t.same(unhandled, [])
  })
}

t.test('a reply that does not fit is an error, and the connection goes on', async t => {
  const owner = { name: 'x'.repeat(40_000), uid: 1 }
  const root = await attached(t, dir(new Map([['big', dir(new Map(), owner)]]), glenda))
  const big = await root.walk(['big'])
  await t.rejects(big.stat(), { message: /^bad message: / })
  await t.rejects(root.walk(['none']), { message: 'file does not exist' })
  const wide = await root.walk(['big'])
  t.ok(wide, 'it still answers')
})

t.test('a user has a name like a file has: nothing longer, no control characters', async t => {
  const root = dir(new Map(), glenda)
  await t.rejects(attached(t, root, 'x'.repeat(256)), { message: /^bad file name: / })
  await t.rejects(attached(t, root, 'glenda\nkind=error'), { message: /^bad file name: / })
  await attached(t, root, '')
})
