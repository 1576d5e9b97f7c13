/**
 * `node mounted.js DIR`: our FUSE driver with client, server and tree in this one process, as fuse-native has its tree.
 * A child with an IPC channel.
 */

import { Client } from '../fs/client/client.js'
import { serve } from '../fs/server/server.js'
import { transportPair } from '../fs/transport/pair.js'
import { mount } from '../mnt/fuse/mounted.js'
import type { Link } from '../mnt/link.js'
import { unmount } from '../mnt/mount.js'
import { owner, tree } from './tree.js'

const [near, far] = transportPair()
const root = tree(['large'])
serve(far, { attach: ({ uname }) => ({ root, user: { name: uname, uid: owner.uid, role: 'use' } }) })
const client = await Client.connect(near, { msize: 1 << 20 })
const fid = await client.attach({ uname: owner.name })
// what the driver needs of a link: the connection, and a user's root
const link = { client, root: () => fid } as unknown as Link
const mounted = await mount(link, process.argv[2]!, false)
process.send!('ready')
process.on('message', async () => {
  mounted.stop()
  await unmount(process.argv[2]!)
})
await mounted.done
process.exit(0)
