/** A turn with a server that does not send valid events. */
import t from 'tap'
import { Client } from '../../fs/client/client.js'
import { type File, newQid } from '../../fs/file.js'
import { dir } from '../../fs/kit/dir.js'
import { serve } from '../../fs/server/server.js'
import { transportPair } from '../../fs/transport/pair.js'
import type { Link } from '../../limbot/link.js'
import type { RemoteSession } from '../../limbot/remote-session.js'
import { turn } from '../../limbot/turn.js'

const owner = { name: 'glenda', uid: 1 }

/** Runs one turn with a server whose `generate` gives what `said` returns. */
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
  const session = {
    path: [],
    ready: async () => {},
    stale: () => {},
    cancel: async () => {},
  } as unknown as RemoteSession
  const { signal } = new AbortController()
  try {
    for await (const _ of turn({ link, session, wanted: {} as never, content: 'hi', digests: new Map(), signal }));
  } finally {
    client.close()
  }
}

t.test('an answer that is not events fails, and a line that does not end is refused at MAX_LINE', async t => {
  for (const line of ['null', '{"event":"queued","task":7}', '{"event":"token","text":7,"ids":[]}']) {
    const wrong = Buffer.from(`${line}\n`)
    await t.rejects(
      exchange((offset, count) => wrong.subarray(offset, offset + count)),
      { message: /^bad message: / },
      line,
    )
  }
  const broken = Buffer.from('{"event":"queued"\n')
  await t.rejects(
    exchange((offset, count) => broken.subarray(offset, offset + count)),
    { message: /^bad message: event stream: not JSON: "\{\\"event\\":\\"queued\\""$/ },
  )
  await t.rejects(
    exchange((_offset, count) => new Uint8Array(count).fill(0x61)),
    { message: /^bad message: event stream: a line over 16777216 characters$/ },
  )
})
