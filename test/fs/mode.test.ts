/** What wstat and setattr may change: names, lengths and times, but not modes and owners. */
import t from 'tap'
import { Client } from '../../fs/client/client.js'
import type { File } from '../../fs/file.js'
import { text } from '../../fs/kit/content.js'
import { ctl } from '../../fs/kit/ctl.js'
import { dir } from '../../fs/kit/dir.js'
import { serve } from '../../fs/server/server.js'
import { transportPair } from '../../fs/transport/pair.js'
import { DMDIR } from '../../fs/wire/protocol.js'

const owner = { name: 'root', uid: 0 }

for (const version of ['9P2000', '9P2000.u', '9P2000.L'] as const)
  t.test(`${version}: an unsupported change of mode, owner or length fails and changes nothing`, async t => {
    const files = new Map<string, File>([
      ['ctl', ctl({ owner, verbs: {}, read: () => '' })],
      ['status', text(() => 'x\n', { owner })],
    ])
    const [near, far] = transportPair()
    serve(far, { attach: () => ({ root: dir(files, owner), user: { ...owner, role: 'admin' } }) })
    const client = await Client.connect(near, { dialect: version })
    t.teardown(() => client.close())
    const root = await client.attach({ uname: 'root', n_uname: 0 })
    const denied = { message: /^permission denied/, errno: version === '9P2000' ? 13 : 1 }
    for (const [path, mode] of [
      [['ctl'], 0o777],
      [['ctl'], 0o000],
      [['status'], 0o666],
      [[], 0o777 | DMDIR],
    ] as const) {
      const fid = await root.walk(path)
      const before = await fid.stat()
      await t.rejects(fid.wstat({ mode: mode >>> 0 }), denied, `chmod ${mode.toString(8)} ${path}`)
      await t.rejects(fid.wstat({ mode: (before.mode ^ 1) >>> 0, mtime: 7 }), denied)
      if (version !== '9P2000') await t.rejects(fid.wstat({ n_uid: 4711 }), denied, `chown ${path}`)
      if (version === '9P2000.u') await t.rejects(fid.wstat({ gid: 'nobody' }), denied, `chgrp ${path}`)
      const { mode: now, n_uid, length } = await fid.stat()
      t.same({ now, n_uid, length }, { now: before.mode, n_uid: before.n_uid, length: before.length })
    }
    const fid = await root.walk(['ctl'])
    const { mode } = await fid.stat()
    await t.rejects(fid.wstat({ length: 5n }), denied)
    // the requests of cp, touch, editors and > succeed
    await fid.wstat({ mode })
    await fid.wstat({ mtime: 7 })
    await fid.wstat({ length: 0n })
    await fid.wstat({})
  })
