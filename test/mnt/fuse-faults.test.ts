/** Mounts whose server, process or mount point fails or is taken away. */
import { spawn } from 'node:child_process'
import { access, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { clearStale, isMounted, startMount, unmount } from '../../mnt/mount.js'
import { base, bench, ended, gone, noFuse, sh, standing, startServer } from './fixture.js'

const skip = await noFuse()
if (skip) t.comment(`skipped: ${skip}`)
const options = skip ? { skip } : {}

t.test(
  'when the server is killed, waiting reads fail at once; when it is back, the mount works again',
  options,
  async t => {
    const b = await bench(t)
    t.match(await sh(`cat ${b.n}/status`), { code: 0 })
    const waiting = spawn('cat', [`${b.n}/never`], { stdio: ['ignore', 'pipe', 'pipe'] })
    const done = ended(waiting)
    await sleep(200)
    const killed = performance.now()
    await b.stop()
    t.match(await done, { code: 1, err: /Input\/output error/ })
    const took = performance.now() - killed
    t.ok(took < 5000, `the read failed after ${took.toFixed()} ms`)
    const later = await sh(`cat ${b.n}/status`)
    t.match(later, { code: 1, err: /Input\/output error/ })
    t.ok(later.ms < 5000, `a later open failed after ${later.ms.toFixed()} ms`)
    const again = await startServer(b.address, b.seen)
    t.teardown(() => again.stop())
    const came = performance.now()
    let back = await sh(`cat ${b.n}/status`)
    while (back.code !== 0 && performance.now() - came < 10_000) {
      await sleep(50)
      back = await sh(`cat ${b.n}/status`)
    }
    t.match(back, { code: 0, out: 'user root uid 0\n' })
    t.comment(`back after ${(performance.now() - came).toFixed()} ms`)
    t.match(await sh(`echo x > ${b.n}/data; cat ${b.n}/data`), { out: 'answer to x\n' })
  },
)

t.test(
  'when a server hangs, operations on names and attributes fail after 15 s and others are not affected',
  options,
  async t => {
    const { n } = await bench(t)
    const hung = sh(`cat ${n}/slow/hang/x`)
    await sleep(100)
    t.match(await sh(`cat ${n}/status`), { code: 0 })
    const killable = spawn('stat', [`${n}/slow/hang-too`], { stdio: 'ignore' })
    const done = ended(killable)
    await sleep(100)
    const sent = performance.now()
    killable.kill('SIGKILL')
    await done
    t.ok(performance.now() - sent < 10_000, 'a signal ends a program that waits for a lookup')
    const { code, err, ms } = await hung
    t.match({ code, err }, { code: 1, err: /Input\/output error/ })
    t.ok(ms > 10_000 && ms < 20_000, `${ms.toFixed()} ms`)
  },
)

t.test('a new mount clears one whose process was killed', options, async t => {
  const b = await bench(t)
  process.kill(b.pid, 'SIGKILL')
  await gone(b.pid)
  t.match(await sh(`ls ${b.n}`), { code: 2, err: /not connected/ })
  t.equal(await isMounted(b.n), true)
  const { pid } = await startMount({ address: b.address, dir: b.n })
  t.match(await sh(`cat ${b.n}/status`), { code: 0 })
  await unmount(b.n)
  t.ok(await gone(pid))
  t.equal(await isMounted(b.n), false, 'neither the new nor the old mount is left')
})

t.test('clearStale does not touch a live mount', options, async t => {
  const { n } = await bench(t)
  await clearStale(n)
  t.match(await sh(`cat ${n}/status`), { code: 0 })
})

t.test('umount by another program ends the mount process', options, async t => {
  const { n, pid } = await bench(t)
  t.match(await sh(`umount ${n}`), { code: 0, err: '' })
  t.ok(await gone(pid))
})

t.test(
  'a lazy umount by another program ends the mount process, even while a program is in the tree',
  options,
  async t => {
    const { n, pid } = await bench(t)
    const inside = standing(n)
    await sleep(200)
    t.match(await sh(`umount -l ${n}`), { code: 0, err: '' })
    t.ok(await gone(pid))
    inside.kill()
  },
)

t.test('a mount process whose mount was taken away does not unmount the one in its place', options, async t => {
  const { n, pid, address } = await bench(t)
  const inside = standing(n)
  await sleep(200)
  t.match(await sh(`umount -l ${n}`), { code: 0, err: '' })
  const next = await startMount({ address, dir: n })
  t.ok(await gone(pid))
  t.match(await sh(`cat ${n}/status`), { code: 0, out: 'user root uid 0\n' })
  inside.kill()
  await unmount(n)
  t.ok(await gone(next.pid))
})

for (const signal of ['SIGTERM', 'SIGINT'] as const)
  t.test(`${signal} unmounts, even while a program reads and another is in the tree`, options, async t => {
    const { n, pid } = await bench(t)
    const cat = ended(spawn('cat', [`${n}/never`], { stdio: 'ignore' }))
    const inside = standing(n)
    await sleep(200)
    const sent = performance.now()
    process.kill(pid, signal)
    t.ok(await gone(pid))
    t.comment(`${(performance.now() - sent).toFixed()} ms`)
    t.equal((await cat).code, 1)
    t.equal(await isMounted(n), false)
    t.match(await sh(`ls ${n}`), { code: 0, out: '' }, 'the empty directory is back')
    inside.kill()
  })

t.test('a mount that fails gives the reason in one line with its remedy', options, async t => {
  const path = await base(t)
  const server = await startServer(`unix!${path}/s/9p`)
  t.teardown(() => server.stop())
  const at = (dir: string, address = server.address) => startMount({ address, dir: join(path, dir) })
  await mkdir(join(path, 'full'))
  await writeFile(join(path, 'full', 'thing'), '')
  await mkdir(join(path, 'n'))
  await t.rejects(at('none'), { message: /none does not exist: run mkdir -p / })
  await t.rejects(at('full/thing'), { message: /thing is not a directory/ })
  await t.rejects(at('full'), { message: /full is not empty \(it has thing\)/ })
  await t.rejects(at('n', `unix!${path}/nobody`), { message: /no server/ })
  await t.rejects(at('n', 'http://x'), { message: /tcp!/ })
  const { pid } = await at('n')
  await t.rejects(at('n'), { message: /llambo is already mounted on .*llamboctl umount / })
  await unmount(join(path, 'n'))
  await gone(pid)
  await t.rejects(unmount(join(path, 'n')), { message: /llambo is not mounted on/ })
})

t.test('one server can be mounted twice at the same time', options, async t => {
  const b = await bench(t)
  const second = join(b.base, 'second one')
  await mkdir(second)
  const { pid, dir } = await startMount({ address: b.address, dir: second, aname: '/folder' })
  t.equal(dir, second)
  t.match(await sh(`echo 1 > ${b.n}/folder/x; cat '${second}/x'`), { code: 0, out: '1\n' })
  t.match(await sh(`ps -o args= -p ${pid}`), { out: /^llambo-mount .*second one/ })
  await unmount(second)
  t.ok(await gone(pid))
  t.match(await sh(`cat ${b.n}/folder/x`), { code: 0 })
})

t.test('a trace has the FUSE requests and the 9P messages, but not the token', options, async t => {
  const path = await base(t)
  const server = await startServer(`unix!${path}/s/9p`)
  const n = join(path, 'n')
  const trace = join(path, 'trace')
  await mkdir(n)
  const { pid } = await startMount({ address: server.address, dir: n, trace, token: 'hush-hush' })
  const args = await sh(`tr '\\0' ' ' < /proc/${pid}/cmdline; tr '\\0' ' ' < /proc/${pid}/environ`)
  t.notMatch(args.out, /hush/)
  await sh(`cat ${n}/status`)
  await unmount(n)
  await gone(pid)
  await server.stop()
  const { out } = await sh(`cat ${trace}`)
  t.match(out, /^-> Tattach .*uname root/m)
  t.match(out, /^# LOOKUP \d+ node 1 uid 0 name status$/m)
  t.notMatch(out, /hush/)
  await access(trace)
})
