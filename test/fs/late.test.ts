/** Calls that finish late: after a clunk, after a flush, or with a reply that does not fit. */
import t, { type Test } from 'tap'
import { fail } from '../../fs/base/errors.js'
import { Client } from '../../fs/client/client.js'
import { type Context, type File, newQid, type Opened, type User } from '../../fs/file.js'
import { dir } from '../../fs/kit/dir.js'
import { serve } from '../../fs/server/server.js'
import { transportPair } from '../../fs/transport/pair.js'
import { OREAD, QTDIR } from '../../fs/wire/protocol.js'
import { glenda } from './tree.js'

const later = (ms: number) => new Promise(resolve => setTimeout(resolve, ms))
const attributes = () => ({ mode: 0o777, owner: glenda, length: 0, mtime: 0, atime: 0 })

/** Holds calls back until the test lets them go: how long they take then does not depend on how busy the machine is. */
class Gate {
  held: Promise<void> = Promise.resolve()
  open: () => void = () => undefined

  close(): void {
    this.held = new Promise(resolve => {
      this.open = resolve
    })
  }
}

/** A tree whose opens and creates take 20 ms, or wait, and whose closes fail. */
function slowTree(closed: () => void, wait: () => Promise<unknown> = () => later(20)): File {
  const open = async (): Promise<Opened> => {
    await wait()
    return {
      async close() {
        closed()
        throw fail('io', 'of course')
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
  t.test(`a close that fails after a clunk has overtaken the ${what} is not an unhandled rejection`, async t => {
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
    while (closes === 0) await later(5)
    await later(30)
    t.equal(closes, 1, 'the file is closed once')
    t.same(unhandled, [])
  })
}

t.test('a reply that exceeds msize becomes an error, and the connection continues', async t => {
  const owner = { name: 'x'.repeat(40_000), uid: 1 }
  const root = await attached(t, dir(new Map([['big', dir(new Map(), owner)]]), glenda))
  const big = await root.walk(['big'])
  await t.rejects(big.stat(), { message: /^bad message: / })
  await t.rejects(root.walk(['none']), { message: 'file does not exist' })
  const wide = await root.walk(['big'])
  t.ok(wide, 'the server still answers')
})

t.test('a user name must be a valid file name: bounded, without control characters', async t => {
  const root = dir(new Map(), glenda)
  await t.rejects(attached(t, root, 'x'.repeat(256)), { message: /^bad file name: / })
  await t.rejects(attached(t, root, 'glenda\nkind=error'), { message: /^bad file name: / })
  await attached(t, root, '')
})

t.test('a call that returns too long after its flush leaves nothing behind', async t => {
  let closes = 0
  const gate = new Gate()
  const tree = slowTree(
    () => closes++,
    () => gate.held,
  )
  const file = tree.walk!('f', undefined as never) as File
  // ignores its signal
  let walks = 0
  const walk = async () => {
    await gate.held
    walks++
    return file
  }
  const root: File = { ...tree, walk }
  const [near, far] = transportPair()
  const session = serve(far, {
    attach: who => ({ root, user: { name: who.uname, uid: 1000, role: 'use' } }),
    times: { flush: 5 },
  })
  const client = await Client.connect(near, { msize: 4096 })
  t.teardown(() => client.close())
  const fid = await client.attach({ uname: 'glenda' })
  const f = await fid.walk(['f'])

  gate.close()
  const stop = new AbortController()
  const walked = t.rejects(fid.walk(['f'], stop.signal), { message: 'interrupted' })
  setImmediate(() => stop.abort())
  await walked
  const again = await fid.walk([])
  t.equal(session.fids.size, 3, 'the number of the fid that it was creating is free at once')
  gate.open()
  while (walks < 2) await later(5)
  t.equal(session.fids.size, 3)
  t.match(await again.stat(), { qid: tree.qid }, 'the late walk does not change the fid that now has that number')

  gate.close()
  const open = new AbortController()
  const opened = t.rejects(f.open(OREAD, open.signal), { message: 'interrupted' })
  setImmediate(() => open.abort())
  await opened
  gate.open()
  while (closes === 0) await later(5)
  t.equal(closes, 1, 'the file that it opened is closed')
  t.ok(await f.open(OREAD), 'the fid can be opened again')
})

for (const late of [false, true])
  t.test(
    `a flushed remove is answered, because its fid is gone${late ? ', even if it ignores the flush' : ''}`,
    async t => {
      const gate = new Gate()
      gate.close()
      const remove = (ctx: Context) =>
        new Promise<void>((resolve, reject) => {
          if (late) void gate.held.then(resolve)
          else ctx.signal.addEventListener('abort', () => reject(fail('interrupted')))
        })
      const tree = slowTree(() => {})
      const root: File = { ...tree, walk: () => ({ ...(tree.walk!('f', undefined as never) as File), remove }) }
      const lines: string[] = []
      const [near, far] = transportPair()
      serve(far, {
        attach: who => ({ root, user: { name: who.uname, uid: 1000, role: 'use' } }),
        times: { flush: 20 },
      })
      const client = await Client.connect(near, { trace: line => lines.push(line) })
      t.teardown(() => client.close())
      const f = await (await client.attach({ uname: 'glenda' })).walk(['f'])
      const stop = new AbortController()
      const removed = t.rejects(client.rpc({ type: 'Tremove', fid: f.fid }, stop.signal), { message: 'interrupted' })
      setImmediate(() => stop.abort())
      await removed
      gate.open()
      t.match(lines.slice(-4), [/^-> Tremove/, /^-> Tflush/, /^<- Rerror .*interrupted/, /^<- Rflush/])
    },
  )
