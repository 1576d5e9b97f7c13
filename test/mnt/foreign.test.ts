/** Ordinary programs on mounts of other programs' servers. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { listen } from '../../fs/dial.js'
import { isMounted, startMount, unmount } from '../../mnt/mount.js'
import { ForeignServer, manners } from '../foreign.js'
import { base, gone, noFuse, sh } from './fixture.js'

const skip = await noFuse()

for (const name of ['lib9p', 'inferno', 'linux'] as const)
  t.test(`${name}: programs make, write, read and list files through a mount`, skip ? { skip } : {}, async t => {
    const at = await base(t)
    const server = new ForeignServer(manners[name])
    const address = `unix!${join(at, '9p')}`
    const { close } = await listen(address, transport => server.serve(transport))
    t.teardown(close)
    const n = join(at, 'n')
    await mkdir(n)
    const { pid } = await startMount({ address, dir: n, allowOther: name === 'linux' })
    t.teardown(async () => {
      if (await isMounted(n)) await unmount(n)
      await gone(pid)
    })
    const ran = await sh(`cd ${n}; cat none; echo one > new && mkdir -p a/b && echo two > a/b/c && cat new a/b/c && ls`)
    t.equal(ran.out, 'one\ntwo\na\nnew\n', ran.err)
    t.match(ran.err, /^cat: none: No such file or directory\n$/)
    t.notOk(
      server.requests.some(line => line.startsWith('Twstat')),
      'a close sends no wstat',
    )
    if (name !== 'linux') return
    await sh(`cd ${n}; setpriv --regid 4321 --clear-groups sh -c "echo x > grouped; mkdir groupdir"`)
    t.equal(server.file('grouped')?.gid, 4321, 'a new file has the group of the process that makes it')
    t.equal(server.file('groupdir')?.gid, 4321)
  })
