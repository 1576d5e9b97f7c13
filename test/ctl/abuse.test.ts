/** Tests a real server with too much of something: connections, descriptors, unread answers, bytes on a disk. */
import { spawn, spawnSync } from 'node:child_process'
import { appendFileSync, copyFileSync, mkdirSync, readdirSync, readFileSync, statfsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { modelDir } from '../../cli/paths.js'
import { MAX_MSIZE } from '../../fs/base/limits.js'
import { Client, type Fid } from '../../fs/client/client.js'
import { dial } from '../../fs/dial.js'
import type { Transport } from '../../fs/transport.js'
import { ORDWR } from '../../fs/wire/protocol.js'
import { fuseProblem } from '../../mnt/mount.js'
import { checkout, Home, Run } from './fixture.js'

const MIB = 1024 * 1024
const WANTED = 10_000
/** Descriptors of this process that are not connections. */
const OWN = 500
/**
 * The most memory for a connection: three times the benchmark's limit, because memory comes in pages and garbage is
 * collected late.
 */
const MOST_KIB = 48
/** How many connections are made at the same time: fewer than a socket's backlog. */
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

/** Waits for something that a server does a moment later. Only the time limit of the test ends the wait. */
async function until(so: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await so())) await sleep(20)
}

/** Writes a prompt and reads the answer of engine echo. */
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

/** How many open files this process may have. */
const limit = Number(/^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? Infinity)
const count = Math.min(WANTED, limit - OWN)

t.test(`${count} idle connections are kept, and one in use is answered`, { timeout: 200_000 }, async t => {
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
  // the first connections do not count, because the server loads and compiles code at them
  await more(AT_ONCE)
  const before = resident(pid)
  await more(count - 1)
  const active = await attach(address)
  for (let i = 0; i < 100; i++) await active.root.stat()
  t.equal(await ask(active.root, 'red green\n'), '0:red 1:green\n', 'the connection in use is answered')
  const kib = (resident(pid) - before) / count
  t.ok(kib < MOST_KIB, `${kib.toFixed(1)} KiB for each`)
  const stats = await Promise.all(all.map(({ root }) => root.stat()))
  t.equal(stats.filter(({ name }) => name === '/').length, count - 1, 'the idle connections are still served')
  for (const { client } of [...all, active]) client.close()
  await until(() => descriptors(pid) <= begun + 2)
  t.equal((await home.ctl('rdwr', 'data', 'hi')).stdout, '0:hi\n', 'the server works when they have gone')
})

t.test('a server starts with a limit of a hundred open files', async t => {
  const home = new Home(t, {}, ['sh', '-c', 'ulimit -n 100; exec "$@"', 'sh'])
  t.equal(await ask((await attach(socketOf(await home.up()))).root, 'red\n'), '0:red\n')
})

t.test(
  'a server without free descriptors keeps its connections, refuses others with one message, and recovers',
  async t => {
    // Node opens some 70 files at once while it loads our modules
    const home = new Home(t, {}, ['sh', '-c', 'ulimit -n 192; exec "$@"', 'sh'])
    const run = await home.up()
    const address = socketOf(run)
    const first = await attach(address)
    const others = await Promise.allSettled(Array.from({ length: 200 }, () => attach(address)))
    const held = others.flatMap(o => (o.status === 'fulfilled' ? [o.value] : []))
    t.ok(held.length >= 32 && held.length < 128, `${held.length} of 200 are accepted`)
    t.ok(
      others.every(o => o.status === 'fulfilled' || /hungup channel/.test((o.reason as Error).message)),
      'the rest are closed at once',
    )
    t.equal(await ask(first.root, 'red green\n'), '0:red 1:green\n', 'an accepted client is answered')
    const stats = await Promise.all(held.map(({ root }) => root.stat()))
    t.ok(stats.every(({ name }) => name === '/'))
    t.match(run.stderr, /llamboctl: \d+ connections are open, new ones are refused: the limit on open files .*ulimit/)
    t.equal(run.stderr.match(/new ones are refused/g)?.length, 1, 'the refusal is reported once')
    for (const { client } of held) client.close()
    await run.says(/connections are accepted again; \d+ were refused/)
    const late = await attach(address)
    t.equal(await ask(late.root, 'late\n'), '0:late\n')
    for (const { client } of [first, late]) client.close()
  },
)

t.test('a client that stops reading an answer does not affect others', async t => {
  const home = new Home(t)
  const run = await home.up()
  const pid = run.child.pid!
  const deaf = await attach(socketOf(run))
  const before = resident(pid)
  const fid = await (await deaf.root.walk(['data'])).open(ORDWR)
  await fid.write(0, new TextEncoder().encode('red green blue x1000000\n'))
  t.ok((await fid.read(0, 8192)).length > 0, 'the answer begins')
  deaf.transport.pause()
  const first = fid.read(8192, MAX_MSIZE).catch(() => undefined)
  const other = await attach(socketOf(run))
  t.equal(await ask(other.root, 'red green\n'), '0:red 1:green\n', 'another client is answered')
  await until(async () => / active=0 /.test(Buffer.from(await other.root.readFile('status')).toString()))
  t.pass('the answer is finished without a reader, and its slot is free')
  // 400 MB to send, if nothing limits them
  const reads = Promise.allSettled(Array.from({ length: 400 }, (_, i) => fid.read(i, MAX_MSIZE)))
  t.equal(await ask(other.root, 'red green\n'), '0:red 1:green\n')
  t.ok(resident(pid) - before < 200 * 1024, `the server takes ${Math.round((resident(pid) - before) / 1024)} MiB`)
  deaf.transport.destroy()
  deaf.client.close()
  await first
  t.ok(
    (await reads).some(r => r.status === 'rejected'),
    'not everything was sent',
  )
  t.equal(await ask(other.root, 'again\n'), '0:again\n')
  other.client.close()
})

/** Starts a server whose models are on a file system of `size` bytes. */
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
  // A valid model that does not fit: bytes after the tensors are allowed. They are not zeros, because holes would take
  // no space.
  const large = home.path('large.gguf')
  copyFileSync(bundled, large)
  appendFileSync(large, new Uint8Array(2 * size).fill(1))
  return { home, dir, free, before: free(), large }
}

const root = process.getuid?.() === 0
const disk = { skip: root ? false : 'a small file system cannot be mounted here: run it as root' }
const SMALL_DISK = 16 * MIB

t.test('a full disk fails the copy of a model and leaves nothing of it', disk, async t => {
  const { home, dir, free, before, large } = await onSmallDisk(t, SMALL_DISK)
  const copied = await home.ctl('cp', large, '/n/llambo/models/large.gguf')
  t.match(copied, { code: 1, stderr: /no space left on device/ }, 'the copy fails with the reason')
  t.same(readdirSync(dir), [], 'nothing is left of the copy')
  t.equal(free(), before, 'its space is free again')
  t.equal((await home.ctl('rdwr', 'data', 'hi')).stdout, '0:hi\n', 'the server still works')
  t.match(await home.ctl('cp', bundled, '/n/llambo/models/small.gguf'), { code: 0 }, 'a model that fits is accepted')
  t.same(readdirSync(dir), ['small.gguf'])
})

const problem = await fuseProblem()
t.test(
  'a full disk fails cp through a mount and leaves nothing of the model',
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
