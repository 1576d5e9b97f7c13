/** Mounts that several users share, and mounts by ordinary users. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, cp, mkdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { base, bench, gone, noFuse, sh, startServer } from './fixture.js'

const skip = await noFuse()
if (skip) t.comment(`skipped: ${skip}`)
const options = skip ? { skip } : {}
const NOBODY = 65534
const DAEMON = 1

/**
 * Copies the code that mounts to a place where every user can read it: the checkout may be in a private directory.
 * @returns mount.js's URL
 */
async function installed(t: Parameters<typeof base>[0]): Promise<string> {
  const at = await base(t)
  const checkout = new URL('../../../', import.meta.url)
  for (const path of [
    'package.json',
    'dist/fs',
    'dist/mnt',
    'node_modules/ws',
    'node_modules/koffi',
    'node_modules/@koromix',
  ])
    await cp(new URL(path, checkout), join(at, path), { recursive: true })
  await sh(`chmod -R a+rX ${at}`)
  return pathToFileURL(join(at, 'dist/mnt/mount.js')).href
}

t.test('without allow_other another user cannot use the mount', options, async t => {
  const { n } = await bench(t)
  t.match(await sh(`ls ${n}`, { uid: NOBODY, gid: NOBODY }), { code: 2, err: /Permission denied/ })
})

t.test('with allow_other each user is attached as themselves and gets their own answers', options, async t => {
  const { n, seen } = await bench(t, { allowOther: true })
  const as = (uid: number, command: string) => sh(command, { uid, gid: uid })
  t.match(await as(NOBODY, `cat ${n}/status`), { out: 'user nobody uid 65534\n' })
  t.match(await as(DAEMON, `cat ${n}/status`), { out: 'user daemon uid 1\n' })
  t.match(await as(4711, `cat ${n}/status`), { out: 'user 4711 uid 4711\n' }, 'a uid without a name')
  await as(NOBODY, `echo mine > ${n}/data`)
  await as(DAEMON, `echo yours > ${n}/data`)
  t.match(await as(NOBODY, `cat ${n}/data`), { out: 'answer to mine\n' })
  t.match(await as(DAEMON, `cat ${n}/data`), { out: 'answer to yours\n' })
  t.match(await as(NOBODY, `cat ${n}/secret`), { code: 1, err: /Permission denied/ })
  t.match(await sh(`cat ${n}/status`), { out: 'user root uid 0\n' })
  t.same(seen.attached, ['root 0', 'nobody 65534', 'daemon 1', '4711 4711'], 'one attach for each user')
})

t.test('a user who opens as many files as they can leaves enough for the others', options, async t => {
  const { n } = await bench(t, { allowOther: true })
  const as = (uid: number, command: string) => sh(command, { uid, gid: uid })
  // opens files until one is refused, prints how many it opened, and keeps them open until its input ends
  const script = `let held = 0
    const fs = require('fs')
    try { for (;; held++) fs.openSync('${n}/status') } catch (error) { console.log(held, error.code) }
    fs.readFileSync(0)`
  const hoard = spawn('prlimit', ['--nofile=5000:5000', process.execPath, '-e', script], { uid: NOBODY, gid: NOBODY })
  t.teardown(() => hoard.kill('SIGKILL'))
  const [said] = (await once(hoard.stdout, 'data')) as [Buffer]
  t.equal(said.toString(), '1024 EMFILE\n')
  t.match(await as(NOBODY, `cat ${n}/status`), { code: 1, err: /Too many open files/ })
  t.match(await as(DAEMON, `cat ${n}/status`), { out: 'user daemon uid 1\n' }, 'another user can open files')
  t.match(await as(DAEMON, `ls ${n}`), { code: 0 })
  t.match(await sh(`cat ${n}/status`), { out: 'user root uid 0\n' }, 'root can open files')
  hoard.stdin.end()
  await once(hoard, 'close')
  t.match(await as(NOBODY, `cat ${n}/status`), { out: 'user nobody uid 65534\n' }, 'closed files do not count')
})

t.test("two users who ask at once never get each other's answers", options, async t => {
  const { n } = await bench(t, { allowOther: true })
  const loop = (uid: number, word: string) =>
    sh(
      `for i in $(seq 100); do echo ${word}$i > ${n}/data; [ "$(cat ${n}/data)" = "answer to ${word}$i" ] && echo ok; done | wc -l`,
      { uid, gid: uid },
    )
  const [a, b] = await Promise.all([loop(NOBODY, 'a'), loop(DAEMON, 'b')])
  t.equal(a.out, '100\n')
  t.equal(b.out, '100\n')
})

t.test('an ordinary user mounts through fusermount3', options, async t => {
  if ((await sh('command -v fusermount3')).code !== 0) return t.comment('skipped: fusermount3 is missing')
  const module = JSON.stringify(await installed(t))
  const run = (script: string, env = '') =>
    sh(`env ${env} ${process.execPath} --input-type=module -e '${script.replaceAll("'", '"')}'`, {
      uid: NOBODY,
      gid: NOBODY,
    })
  const { mode } = await stat('/dev/fuse')
  if ((mode & 0o006) !== 0o006) {
    const { out } = await run(`import { fuseProblem } from ${module}; console.log(await fuseProblem())`)
    t.match(out, /^cannot open \/dev\/fuse \(EACCES\): chmod 0666/)
    t.comment('/dev/fuse is closed to ordinary users here: opened for this test')
    t.teardown(() => chmod('/dev/fuse', mode & 0o777))
    await chmod('/dev/fuse', 0o666)
  }
  const path = await base(t)
  const server = await startServer('tcp!127.0.0.1!0')
  t.teardown(() => server.stop())
  const n = join(path, 'n')
  await mkdir(n)
  const script = `import { startMount } from ${module}
    try { console.log((await startMount({ address: '${server.address}', dir: '${n}', allowOther: process.env.ALL === 'yes' })).pid) }
    catch (error) { console.log(error.message) }`
  const mount = (env = '') => run(script, env)
  t.match((await mount()).out, /you may not mount on \S+n: use a directory of your own/)
  await chown(n, NOBODY, NOBODY)
  t.match((await mount('ALL=yes')).out, /user_allow_other in \/etc\/fuse.conf/)
  const { out, err } = await mount()
  const pid = Number(out)
  t.ok(pid > 0, `${out}${err}`)
  const as = (command: string) => sh(command, { uid: NOBODY, gid: NOBODY })
  t.match(await as(`cat ${n}/status; echo hi > ${n}/data; cat ${n}/data`), {
    out: 'user nobody uid 65534\nanswer to hi\n',
    err: '',
  })
  t.match(await sh(`ls ${n}`), { code: 2, err: /Permission denied/ }, 'not even root can use the mount')
  t.match(await as(`kill -9 ${pid}; sleep 0.3; ls ${n}`), { err: /not connected/ })
  const again = Number((await mount()).out)
  t.ok(again > 0, 'a stale mount is cleared')
  t.match(await as(`cat ${n}/status; kill ${again}`), { out: 'user nobody uid 65534\n' })
  t.ok(await gone(again))
  t.match(await as(`ls ${n} && rmdir ${n} 2>/dev/null; mount | grep -c ${n}`), { out: '0\n' })
})
