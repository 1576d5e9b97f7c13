import t from 'tap'
import { Client } from '../../fs/client.js'
import { type File, newQid } from '../../fs/file.js'
import { dir } from '../../fs/kit/dir.js'
import { serve } from '../../fs/server.js'
import { transportPair } from '../../fs/transport/pair.js'
import type { Link } from '../../limbot/link.js'
import type { Session } from '../../limbot/session.js'
import { turn } from '../../limbot/turn.js'

const owner = { name: 'glenda', uid: 1 }

/** One exchange with a server whose `generate` says that. */
async function exchange(said: (offset: number, count: number) => Uint8Array): Promise<void> {
  const generate: File = {
    qid: newQid(0),
    attributes: () => ({ mode: 0o666, owner, length: 0, mtime: 0, atime: 0 }),
    open: () => ({ read: said, write: (_offset, data) => data.length }),
  }
  const root = dir(new Map([['generate', generate]]), owner)
  const [near, far] = transportPair()
  serve(far, { attach: () => ({ root, user: { ...owner, role: 'use' } }) })
  const client = await Client.connect(near)
  const fid = await client.attach({ uname: 'glenda' })
  const link = { root: async () => fid } as unknown as Link
  const session = { path: [], ready: async () => {}, stale: () => {}, cancel: async () => {} } as unknown as Session
  const { signal } = new AbortController()
  try {
    for await (const _ of turn({ link, session, wanted: {} as never, content: 'hi', digests: new Map(), signal }));
  } finally {
    client.close()
  }
}

t.test('a server that sends no events is said to, and its line is not kept without end', async t => {
  const broken = Buffer.from('{"event":"queued"\n')
  await t.rejects(
    exchange((offset, count) => broken.subarray(offset, offset + count)),
    { message: /^bad message: no JSON in an answer: "\{\\"event\\":\\"queued\\""$/ },
  )
  await t.rejects(
    exchange((_offset, count) => new Uint8Array(count).fill(0x61)),
    { message: /^bad message: a line of over 16777216 characters in an answer$/ },
  )
})
