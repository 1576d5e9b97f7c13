/** Tests that nothing in a directory that another user made or may write in is trusted. */
import { spawn } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import type { FsError } from '../../api/errors.js'
import { isAlive } from '../../cli/serverfile.js'
import { dial } from '../../fs/dial.js'
import { checkPlace } from '../../fs/place.js'
import { Link } from '../../mnt/link.js'
import { Home } from './fixture.js'

const skip = process.getuid?.() === 0 ? false : 'only root can make a directory of another user'
const STRANGER = 4321

/** A home whose runtime directory belongs to another user, with a program at the socket that counts connections. */
async function trapped(t: Test, file = '9p') {
  const home = new Home(t)
  const dir = home.path('run/llambo')
  mkdirSync(dir, { mode: 0o755 })
  const came = { count: 0 }
  const server = createServer(socket => {
    came.count++
    socket.on('error', () => {})
  })
  await new Promise<void>(resolve => server.listen(join(dir, file), resolve))
  t.teardown(() => server.close())
  chownSync(dir, STRANGER, STRANGER)
  chmodSync(dir, 0o755)
  return { home, dir, came }
}

t.test('our tools do not dial a socket in a directory of another user', { skip }, async t => {
  const { home, came } = await trapped(t)
  const refused = /llambo: belongs to another user \(4321\); set XDG_RUNTIME_DIR to a directory of your own/
  for (const args of [['ls'], ['dish', '-c', 'cat status'], ['mount', home.path('n')], ['up']]) {
    const { code, stderr } = await home.ctl(...args)
    t.not(code, 0, args.join(' '))
    t.match(stderr, refused, args.join(' '))
  }
  const limbot = fileURLToPath(new URL('../../limbot/limbot.js', import.meta.url))
  const run = home.start(['hello'], {}, [limbot])
  run.child.stdin?.end()
  t.match((await run.ended).stderr, refused, 'limbot')
  t.equal(came.count, 0)
})

t.test(
  'a directory of another user under the temporary directory is refused without XDG_RUNTIME_DIR',
  { skip },
  async t => {
    const home = new Home(t)
    const dir = home.path('llambo-0')
    mkdirSync(dir)
    chownSync(dir, STRANGER, STRANGER)
    const run = home.start(['ls'], { XDG_RUNTIME_DIR: '', TMPDIR: home.dir })
    run.child.stdin?.end()
    t.match(await run.ended, { stderr: /llambo-0: belongs to another user/ })
  },
)

t.test('down does not end a process that a server.json of another user names', { skip }, async t => {
  const { home, dir } = await trapped(t)
  const victim = spawn('sleep', ['60'])
  t.teardown(() => victim.kill('SIGKILL'))
  const file = { pid: victim.pid, addresses: [], mounts: [], started: '' }
  writeFileSync(join(dir, 'server.json'), JSON.stringify(file))
  writeFileSync(join(dir, 'join.json'), JSON.stringify({ ...file, address: 'x' }))
  for (const command of ['down', 'leave'])
    t.match(await home.ctl(command), { code: 1, stderr: /belongs to another user/ }, command)
  t.ok(isAlive({ pid: victim.pid!, born: undefined }))
})

t.test('a symbolic link and a directory that others may write in are refused', async t => {
  const home = new Home(t)
  const dir = home.path('run/llambo')
  symlinkSync(home.dir, dir)
  t.match(await home.ctl('ls'), { stderr: /llambo: not a directory; remove it/ })
  rmSync(dir)
  mkdirSync(dir)
  chmodSync(dir, 0o770)
  t.match(await home.ctl('ls'), { stderr: /llambo: other users may write to it; chmod 700 / })
  chmodSync(dir, 0o755)
  t.match(await home.ctl('ls'), { code: 3, stderr: /no server answers/ })
  t.doesNotThrow(() => checkPlace(home.path('none')))
})

t.test('a socket that the user names is dialled in any directory', { skip }, async t => {
  const home = new Home(t)
  mkdirSync(home.path('theirs'))
  chownSync(home.path('theirs'), STRANGER, STRANGER)
  t.match(await home.ctl('--at', `unix!${home.path('theirs/9p')}`, 'ls'), { code: 3, stderr: /no server answers/ })
})

t.test('the directory is checked at each connection, also when a mount dials again', { skip }, async t => {
  const { dir, came } = await trapped(t)
  const address = `unix!${join(dir, '9p')}`
  const refused = (error: FsError) => t.match(error.message, /belongs to another user/)
  await dial(address, { ownPlace: true }).then(() => t.fail('it was dialled'), refused)
  await Link.open({ address, ownPlace: true }, 0).then(() => t.fail('it was dialled'), refused)
  t.equal(came.count, 0)
})
