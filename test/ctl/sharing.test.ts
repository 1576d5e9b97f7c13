/** Tests whom a mount with a token admits, because a token stands for one user. */
import { existsSync, readFileSync } from 'node:fs'
import t from 'tap'
import { fuseProblem } from '../../mnt/mount.js'
import { Home } from './fixture.js'

const problem = await fuseProblem()

t.test('a mount for other users with a token is refused unless the token is to be shared', async t => {
  const home = new Home(t)
  const address = /listening on (ws:\S+)/.exec((await home.up()).stderr)![1]!
  const token = readFileSync(home.path('.local/state/llambo/token'), 'utf8').trim()
  const mount = (...args: string[]) => {
    const run = home.start(['--at', address, 'mount', ...args, home.path('n')], { LLAMBO_TOKEN: token })
    run.child.stdin?.end()
    return run.ended
  }
  if (problem !== undefined) return t.pass(`no FUSE here: ${problem}`)
  t.match(await mount('--allow-other'), {
    code: 1,
    stderr: /would let every user of this machine act as that user.*--share-token/,
  })
  t.notOk(existsSync(home.path('n')), 'the mount point was not made')
  if (process.getuid?.() !== 0) return
  t.match(await mount('--allow-other', '--share-token'), { code: 0, stderr: /^mounted at / })
  t.equal((await home.ctl('umount', home.path('n'))).code, 0)
})
