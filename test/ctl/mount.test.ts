/** Tests mounts that `up` and `mount` make. */
import { execFile, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { isAlive } from '../../cli/serverfile.js'
import { fuseProblem, isMounted, unmount } from '../../mnt/mount.js'
import { Home } from './fixture.js'

const run = promisify(execFile)
const problem = await fuseProblem()
const skip = problem === undefined ? false : `no FUSE here: ${problem}`

t.test('up mounts at the given directory, and Ctrl-C unmounts', { skip }, async t => {
  const home = new Home(t)
  const dir = home.path('n')
  const run = await home.up('--mount', dir)
  t.match(run.stderr, `mounted at ${dir}\n`)
  await writeFile(`${dir}/data`, 'red green\n')
  t.equal(await readFile(`${dir}/data`, 'utf8'), '0:red 1:green\n')
  t.equal(
    (await home.ctl('ls', `${dir}/models`)).stdout,
    'llambo-tiny.gguf\n',
    'a path below the mount names a file of the server',
  )
  run.child.kill('SIGINT')
  t.equal((await run.ended).code, 0)
  t.notOk(await isMounted(dir))
})

t.test('the mount of a killed server does not hinder the next server', { skip }, async t => {
  const home = new Home(t)
  const dir = home.path('n')
  const run = await home.up('--mount', dir)
  run.child.kill('SIGKILL')
  await run.ended
  const again = await home.up('--mount', dir)
  t.match(again.stderr, `mounted at ${dir}\n`)
  t.match(await readFile(`${dir}/status`, 'utf8'), /^server /)
})

t.test('a server that is interrupted while it mounts leaves no mount behind', { skip }, async t => {
  const home = new Home(t)
  const program = fileURLToPath(new URL('./interrupted.js', import.meta.url))
  const { stdout } = await home.start([], {}, [program]).ended
  t.same(JSON.parse(stdout), { outcome: 'interrupted', mounted: false })
})

t.test('mount makes a second mount, and umount ends it', { skip }, async t => {
  const home = new Home(t)
  await home.up()
  const dir = home.path('second')
  t.match(await home.ctl('mount', dir), { code: 0, stdout: '', stderr: `mounted at ${dir}\n` })
  t.match(await readFile(`${dir}/status`, 'utf8'), /^server /)
  t.same(await home.ctl('umount', dir), { code: 0, stdout: '', stderr: '' })
  t.notOk(await isMounted(dir))
  t.match(await home.ctl('umount', dir), { code: 1, stderr: /second: not mounted/ })
})

t.test('mount over TLS pins the certificate of the own server and refuses any other', { skip }, async t => {
  const home = new Home(t)
  const run = await home.up('--listen', 'wss://127.0.0.1:0/9p')
  const [, address = ''] = /listening on (wss:\S+)/.exec(run.stderr) ?? []
  const dir = home.path('n')
  t.match(await home.ctl('--at', address, 'mount', dir), { code: 0, stderr: `mounted at ${dir}\n` })
  t.match(await readFile(`${dir}/status`, 'utf8'), /^server /)
  t.equal((await home.ctl('umount', dir)).code, 0)
  const other = home.start(['--at', address, 'mount', dir], { LLAMBO_FINGERPRINT: `sha256:${'0'.repeat(64)}` })
  t.match(await other.ended, { code: 4, stderr: /certificate refused/ })
})

t.test('mount without a server fails at once', { skip }, async t => {
  const home = new Home(t)
  t.match(await home.ctl('mount', home.path('n')), { code: 3, stderr: /start one with: llamboctl up -d/ })
})

t.test('down removes the mount of a server in the background', { skip }, async t => {
  const home = new Home(t)
  const dir = home.path('n')
  mkdirSync(dir)
  const device = statSync(dir).dev
  t.equal((await home.ctl('up', '-d', '--mount', dir)).code, 0)
  t.not((await stat(dir)).dev, device)
  t.equal((await home.ctl('down')).code, 0)
  t.equal((await stat(dir)).dev, device)
})

t.test('a given directory that cannot be mounted on fails the start', { skip }, async t => {
  const home = new Home(t)
  writeFileSync(home.path('file'), '')
  const { code, stderr } = await home.ctl('up', '--mount', home.path('file'))
  t.equal(code, 1)
  t.match(stderr, /^llamboctl: [^=]*file/m)
  t.notOk(existsSync(home.path('run/llambo/server.json')), 'nothing of the server is left')
})

t.test('a path below the mount can be copied with cp', { skip }, async t => {
  const home = new Home(t)
  const dir = home.path('n')
  await home.up('--mount', dir)
  await home.ctl('cp', `${dir}/models/llambo-tiny.gguf`, home.path('copy.gguf'))
  t.ok(readFileSync(home.path('copy.gguf')).equals(await readFile(`${dir}/models/llambo-tiny.gguf`)))
})

/** The process of the server's mount. */
const mounter = (home: Home): number =>
  JSON.parse(readFileSync(home.path('run/llambo/server.json'), 'utf8')).mounters[0]?.pid

/** Waits until the events match. */
async function happened(home: Home, what: RegExp): Promise<void> {
  const events = home.start(['cat', 'event'])
  await events.says(what)
  events.child.kill('SIGTERM')
  await events.ended
}

t.test('a mount whose process is killed, or that another program unmounts, is made again', { skip }, async t => {
  const home = new Home(t)
  const dir = home.path('n')
  await home.up('--mount', dir)
  process.kill(mounter(home), 'SIGKILL')
  await happened(home, /kind=mount-lost .*ended by SIGKILL[\s\S]*kind=mounted/)
  t.match(await readFile(`${dir}/status`, 'utf8'), /^server /)
  await unmount(dir)
  await happened(home, /kind=mount-lost .*another program unmounted the directory[\s\S]*kind=mounted/)
  t.match(await readFile(`${dir}/status`, 'utf8'), /^server /)
  t.equal((await home.ctl('umount', dir)).code, 0)
  await happened(home, /kind=unmounted/)
  t.notOk(await isMounted(dir), 'llamboctl umount unmounts for good')
})

t.test('doctor reports a mount whose process is gone, and umount removes it', { skip }, async t => {
  const home = new Home(t)
  await home.up()
  const dir = home.path('second')
  await home.ctl('mount', dir)
  const pid = (await run('pgrep', ['-f', `llambo-mount ${dir}`])).stdout.trim()
  process.kill(Number(pid), 'SIGKILL')
  while (await stat(dir).catch(() => undefined)) await sleep(20)
  t.match((await home.ctl('doctor')).stdout, /mounts .*the process behind it is gone/)
  t.same(await home.ctl('umount', dir), { code: 0, stdout: '', stderr: '' })
  t.notOk(await isMounted(dir))
})

const holding = skip || (process.getuid?.() === 0 ? false : 'needs root, for a mount namespace')

t.test('a mount process whose server is dead leaves the mount of the next server alone', { skip: holding }, async t => {
  const home = new Home(t)
  const dir = home.path('n')
  const first = await home.up('--mount', dir)
  const old = mounter(home)
  // a container that has the mount keeps the old file system and its process alive
  const holder = spawn('unshare', ['-m', 'sh', '-c', 'echo held; exec sleep 60'])
  t.teardown(() => holder.kill('SIGKILL'))
  await new Promise(resolve => holder.stdout.once('data', resolve))
  first.child.kill('SIGKILL')
  await first.ended
  await home.up('--mount', dir)
  holder.kill('SIGKILL')
  while (isAlive({ pid: old, born: undefined })) await sleep(50)
  t.ok(await isMounted(dir))
  t.match(await readFile(`${dir}/status`, 'utf8'), /^server /)
})
