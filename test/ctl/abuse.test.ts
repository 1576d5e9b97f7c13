/** What a real server does when there is too much of something: connections, descriptors, unread answers, bytes on a disk. */
import { spawn, spawnSync } from 'node:child_process'
import { appendFileSync, copyFileSync, mkdirSync, readdirSync, readFileSync, statfsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { modelDir } from '../../ctl/common/paths.js'
import { Client, type Fid } from '../../fs/client.js'
import { dial } from '../../fs/dial.js'
import { MAX_MSIZE } from '../../fs/limits.js'
import { ORDWR } from '../../fs/protocol.js'
import type { Transport } from '../../fs/transport.js'
import { fuseProblem } from '../../mnt/mount.js'
import { checkout, Home, Run } from './fixture.js'

const MIB = 1024 * 1024
const WANTED = 10_000
/** Descriptors of this process that are not connections. */
const OWN = 500
/** Three times what the benchmark asks for: memory comes in pages, and garbage goes when it wants to. */
const MOST_KIB = 48
/** Connections that are being made at once: fewer than a socket's backlog. */
const AT_ONCE = 100

const bundled = `${checkout}/models/llambo-tiny.gguf`

interface Attached {
  client: Client
  root: Fid
  transport: Transport
}

async function attach(address: string): Promise<Attached> {
  const transport = await dial(address)
  const client = await Client.connect(transport, { msize: MAX_MSIZE })
  return { client, transport, root: await client.attach({ uname: 'glenda' }) }
}

const socketOf = (run: Run): string => /listening on (unix!\S+)/.exec(run.stderr)![1]!
const resident = (pid: number): number =>
  Number(/^VmRSS:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1])
const descriptors = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length

/** Waits for what a server does a moment later; the test's own time limit ends it. */
async function until(so: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await so())) await sleep(20)
}

/** A prompt, and its answer as engine echo gives it. */
async function ask(root: Fid, prompt: string): Promise<string> {
  const fid = await (await root.walk(['data'])).open(ORDWR)
  await fid.write(0, new TextEncoder().encode(prompt))
  let answer = ''
  for (let at = 0; ; ) {
    const chunk = await fid.read(at, 8192)
    if (chunk.length === 0) break
    at += chunk.length
    answer += Buffer.from(chunk)
  }
  await fid.clunk()
  return answer
}

/** Open files this process may have. */
const limit = Number(/^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? Infinity)
const count = Math.min(WANTED, limit - OWN)

t.test(`${count} connections that idle are held, and one that works is answered`, { timeout: 200_000 }, async t => {
  if (count < WANTED) t.comment(`${count} and not ${WANTED}: the limit on open files is ${limit}`)
  const home = new Home(t)
  const run = await home.up()
  const pid = run.child.pid!
  const address = socketOf(run)
  const begun = descriptors(pid)
  const all: Attached[] = []
  const more = async (most: number) => {
    while (all.length < most)
      all.push(
        ...(await Promise.all(Array.from({ length: Math.min(AT_ONCE, most - all.length) }, () => attach(address)))),
      )
  }
  // a few first, so that what is loaded and compiled once is not counted
  await more(AT_ONCE)
  const before = resident(pid)
  await more(count - 1)
  const active = await attach(address)
  for (let i = 0; i < 100; i++) await active.root.stat()
  t.equal(await ask(active.root, 'red green\n'), '0:red 1:green\n', 'who works is answered')
  const kib = (resident(pid) - before) / count
  t.ok(kib < MOST_KIB, `${kib.toFixed(1)} KiB for each`)
  const stats = await Promise.all(all.map(({ root }) => root.stat()))
  t.equal(stats.filter(({ name }) => name === '/').length, count - 1, 'each of the others is still served')
  for (const { client } of [...all, active]) client.close()
  await until(() => descriptors(pid) <= begun + 2)
  t.equal((await home.ctl('rdwr', 'data', 'hi')).stdout, '0:hi\n', 'and all is well when they have gone')
})

t.test('a server starts where it may open a hundred files', async t => {
  const home = new Home(t, {}, ['sh', '-c', 'ulimit -n 100; exec "$@"', 'sh'])
  t.equal(await ask((await attach(socketOf(await home.up()))).root, 'red\n'), '0:red\n')
})

t.test('a server without descriptors keeps whom it has, refuses others, says so, and recovers', async t => {
  // Node opens some 70 files at once while it loads our modules
  const home = new Home(t, {}, ['sh', '-c', 'ulimit -n 192; exec "$@"', 'sh'])
  const run = await home.up()
  const address = socketOf(run)
  const first = await attach(address)
  const others = await Promise.allSettled(Array.from({ length: 200 }, () => attach(address)))
  const held = others.flatMap(o => (o.status === 'fulfilled' ? [o.value] : []))
  t.ok(held.length >= 32 && held.length < 128, `${held.length} of 200 are let in`)
  t.ok(
    others.every(o => o.status === 'fulfilled' || /hungup channel/.test((o.reason as Error).message)),
    'the rest are closed at once',
  )
  t.equal(await ask(first.root, 'red green\n'), '0:red 1:green\n', 'who is in is answered')
  const stats = await Promise.all(held.map(({ root }) => root.stat()))
  t.ok(stats.every(({ name }) => name === '/'))
  t.match(run.stderr, /llamboctl: \d+ connections are open, more are refused: the limit on open files .*ulimit/)
  t.equal(run.stderr.match(/more are refused/g)?.length, 1, 'and is told once')
  for (const { client } of held) client.close()
  await run.says(/there is room for connections again, \d+ were refused/)
  const late = await attach(address)
  t.equal(await ask(late.root, 'late\n'), '0:late\n')
  for (const { client } of [first, late]) client.close()
})

t.test('who stops reading in the midst of an answer harms nobody', async t => {
  const home = new Home(t)
  const run = await home.up()
  const pid = run.child.pid!
  const deaf = await attach(socketOf(run))
  const before = resident(pid)
  const fid = await (await deaf.root.walk(['data'])).open(ORDWR)
  await fid.write(0, new TextEncoder().encode('red green blue x1000000\n'))
  t.ok((await fid.read(0, 8192)).length > 0, 'it begins')
  deaf.transport.pause()
  const first = fid.read(8192, MAX_MSIZE).catch(() => undefined)
  const other = await attach(socketOf(run))
  t.equal(await ask(other.root, 'red green\n'), '0:red 1:green\n', 'others are answered')
  await until(async () => / active=0 /.test(Buffer.from(await other.root.readFile('status')).toString()))
  t.pass('what was asked goes on to its end without a reader, and its slot is free')
  // 400 MB to send, if nothing holds them back
  const reads = Promise.allSettled(Array.from({ length: 400 }, (_, i) => fid.read(i, MAX_MSIZE)))
  t.equal(await ask(other.root, 'red green\n'), '0:red 1:green\n')
  t.ok(resident(pid) - before < 200 * 1024, `it takes ${Math.round((resident(pid) - before) / 1024)} MiB`)
  deaf.transport.destroy()
  deaf.client.close()
  await first
  t.ok(
    (await reads).some(r => r.status === 'rejected'),
    'not all of it was sent',
  )
  t.equal(await ask(other.root, 'again\n'), '0:again\n')
  other.client.close()
})

/** A server whose models are on a file system of so many bytes. */
async function onSmallDisk(t: Test, size: number, mounted = false) {
  const home = new Home(t)
  const dir = modelDir(home.env)
  mkdirSync(dir, { recursive: true })
  const made = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', dir], { encoding: 'utf8' })
  if (made.status !== 0) throw new Error(made.stderr)
  const run = await home.up(...(mounted ? ['--mount', home.path('n')] : []))
  t.teardown(async () => {
    await home.ctl('down')
    run.child.kill('SIGKILL')
    await run.ended
    spawnSync('umount', [dir])
  })
  const free = () => statfsSync(dir).bavail * statfsSync(dir).bsize
  // a model that is right but does not fit: more than its tensors is no fault, and without holes, which take no space
  const large = home.path('large.gguf')
  copyFileSync(bundled, large)
  appendFileSync(large, new Uint8Array(2 * size).fill(1))
  return { home, dir, free, before: free(), large }
}

const root = process.getuid?.() === 0
const disk = { skip: root ? false : 'a small file system cannot be mounted here: run it as root' }
const SMALL_DISK = 16 * MIB

t.test('a disk that gets full while a model is copied in', disk, async t => {
  const { home, dir, free, before, large } = await onSmallDisk(t, SMALL_DISK)
  const copied = await home.ctl('cp', large, '/n/llambo/models/large.gguf')
  t.match(copied, { code: 1, stderr: /no space left on device/ }, 'is told to who copies')
  t.same(readdirSync(dir), [], 'and nothing is left of it')
  t.equal(free(), before, 'not even the space')
  t.equal((await home.ctl('rdwr', 'data', 'hi')).stdout, '0:hi\n', 'the server goes on')
  t.match(await home.ctl('cp', bundled, '/n/llambo/models/small.gguf'), { code: 0 }, 'and what fits is taken')
  t.same(readdirSync(dir), ['small.gguf'])
})

const problem = await fuseProblem()
t.test(
  'the same by cp through a mount',
  { skip: disk.skip || (problem ? `no FUSE here: ${problem}` : false) },
  async t => {
    const { home, dir, free, before, large } = await onSmallDisk(t, SMALL_DISK, true)
    const cp = (from: string, to: string) => {
      const run = new Run(
        spawn('timeout', ['-s', 'KILL', '60', 'cp', from, `${home.path('n')}/models/${to}`], { cwd: '/' }),
      )
      return run.ended
    }
    t.match(await cp(large, 'large.gguf'), { code: 1, stderr: /No space left on device/ })
    await until(() => readdirSync(dir).length === 0)
    t.equal(free(), before)
    t.match(await cp(bundled, 'small.gguf'), { code: 0, stderr: '' })
    t.same(readdirSync(dir), ['small.gguf'])
    t.equal((await home.ctl('rdwr', 'data', 'hi')).stdout, '0:hi\n')
  },
)
