/** Long logs that are moved to files, on a disk that is slow, full or damaged. */
import t from 'tap'
import { Budget } from '../../cluster/root/budget.js'
import { SPILL_READ_MS, SPILL_READS } from '../../cluster/root/limits.js'
import { Spills } from '../../cluster/root/spills.js'
import { MAX_MSIZE, MAX_QUEUED } from '../../fs/base/limits.js'
import { Client } from '../../fs/client/client.js'
import { AppendLog, logFile } from '../../fs/kit/append-log.js'
import { serve } from '../../fs/server/server.js'
import { transportPair } from '../../fs/transport/pair.js'
import { OREAD } from '../../fs/wire/protocol.js'
import { TestClock } from './clock.js'
import { Disk, settled } from './disk.js'

const BLOCK = 64 * 1024
const never = { signal: new AbortController().signal }

function stage(limit?: number) {
  const disk = new Disk(limit)
  const failures: string[] = []
  const clock = new TestClock()
  const spills = new Spills(disk, clock, error => failures.push(error.message))
  const budget = new Budget({ limit: 1e9 })
  const log = (user = 'ann') => {
    const log = new AppendLog(100_000_000, budget.hold({ name: user }))
    const release = log.keep()
    log.spillTo(spills.of(user))
    return { log, release }
  }
  return { disk, clock, failures, spills, budget, log }
}

const bytes = (length: number, seed = 0) =>
  Buffer.from(Uint8Array.from({ length }, (_, i) => (i * 7 + (i >> 8) + seed) % 251))

/** Reads all of a log, `count` bytes at a time. */
async function whole(log: AppendLog, count: number): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  for (let at = 0; at < log.length; at += pieces.at(-1)!.length) {
    const piece = await log.read(at, count, never)
    if (piece.length !== Math.min(count, log.length - at)) throw new Error(`a short read at ${at}: ${piece.length}`)
    pieces.push(piece)
  }
  return Buffer.concat(pieces)
}

t.test(
  'a long log is on the disk when it has ended, takes no memory, and reads as written at every offset',
  async t => {
    const { disk, spills, budget, log } = stage()
    const { log: it, release } = log()
    const all = bytes(5 * BLOCK + 1234)
    for (let at = 0, i = 0; at < all.length; i++) {
      const size = [1, 700, BLOCK, 3, 100_000][i % 5]!
      it.append(all.subarray(at, at + size))
      at += size
      if (i % 2) await settled()
      const offset = Math.max(0, it.length - 2 * BLOCK - 5)
      const end = Buffer.from(await it.read(offset, 1e6, never))
      t.ok(end.equals(all.subarray(offset, it.length)), `while it grows: ${it.length}`)
    }
    await settled()
    t.ok(budget.used <= BLOCK, `at most one block is in memory: ${budget.used}`)
    it.end()
    await settled()
    t.equal(budget.used, 0)
    t.equal(spills.used, all.length)
    for (const count of [1000, BLOCK, BLOCK + 1, 1e7]) t.ok((await whole(it, count)).equals(all), `reads of ${count}`)
    t.equal((await it.read(all.length, 10, never)).length, 0)
    release()
    await settled()
    t.same([disk.files.size, spills.used], [0, 0], 'its file is removed with it')
  },
)

t.test('a short log stays in memory', async t => {
  const { disk, log } = stage()
  const { log: it } = log()
  it.append(bytes(BLOCK - 1))
  it.end()
  await settled()
  t.equal(disk.writes, 0)
  t.equal(it.length, BLOCK - 1)
})

t.test('a log grows while a slow disk writes, and bytes that are not written yet count as memory', async t => {
  const { disk, budget, log } = stage()
  disk.slow = []
  const { log: it } = log()
  const all = bytes(10 * BLOCK)
  it.append(all.subarray(0, 2 * BLOCK))
  await settled()
  it.append(all.subarray(2 * BLOCK))
  it.end()
  t.ok((await whole(it, 50_000)).equals(all))
  t.equal(budget.used, 10 * BLOCK, 'bytes that are not written yet count')
  await disk.go()
  t.equal(budget.used, 0)
  t.ok((await whole(it, 50_000)).equals(all))
})

t.test('a log that is removed while it is written leaves nothing, and its memory is free at once', async t => {
  const { disk, spills, budget, log } = stage()
  disk.slow = []
  const [first, second] = [log(), log()]
  first.log.append(bytes(BLOCK))
  second.log.append(bytes(BLOCK))
  await settled()
  first.release()
  second.release()
  t.equal(budget.used, 0)
  await disk.go()
  t.equal(disk.writes, 1, 'a write that had not begun is not made')
  t.same([disk.files.size, spills.used, budget.used], [0, 0, 0])
})

t.test('a read that is under way when its log is removed fails with that reason', async t => {
  const { disk, log } = stage()
  const { log: it, release } = log()
  it.append(bytes(3 * BLOCK))
  it.end()
  await settled()
  disk.slow = []
  const read = it.read(5, 100, never)
  release()
  await Promise.all([t.rejects(Promise.resolve(read), /^file does not exist: it was removed/), disk.go()])
  t.throws(() => it.read(5, 100, never), /^file does not exist: it was removed/)
})

t.test('on a full disk a log stays in memory, this is reported once, and the next block is tried again', async t => {
  const { disk, failures, spills, log } = stage()
  const { log: it } = log()
  const all = bytes(6 * BLOCK)
  it.append(all.subarray(0, BLOCK))
  await settled()
  disk.full = true
  for (let n = 1; n < 4; n++) {
    it.append(all.subarray(n * BLOCK, (n + 1) * BLOCK))
    await settled()
  }
  t.same(failures, ['ENOSPC: no space left on device, write'])
  t.equal(disk.writes, 4, 'once a block')
  t.ok(spills.failing)
  t.ok((await whole(it, 70_000)).equals(all.subarray(0, 4 * BLOCK)))
  disk.full = false
  it.append(all.subarray(4 * BLOCK))
  it.end()
  await settled()
  t.notOk(spills.failing)
  t.equal(spills.used, all.length)
  t.ok((await whole(it, 70_000)).equals(all))
  disk.full = true
  const { log: other } = log()
  other.append(bytes(BLOCK))
  other.end()
  await settled()
  t.equal(failures.length, 2, 'it is reported again after a write succeeded in between')
  t.ok((await whole(other, 70_000)).equals(bytes(BLOCK)))
})

t.test(
  'the files are limited in all and for each user: what exceeds the share stays in memory until enough of it is free',
  async t => {
    const { failures, spills, log } = stage(16 * BLOCK)
    const make = (user: string, blocks: number, seed: number) => {
      const one = log(user)
      one.log.append(bytes(blocks * BLOCK, seed))
      one.log.end()
      return { ...one, all: bytes(blocks * BLOCK, seed) }
    }
    const logs = [make('ann', 7, 1), make('ann', 7, 2), make('bob', 3, 3), make('ann', 7, 4)]
    await settled()
    t.same(
      failures,
      ['no space left on device: the answers and transcripts of ann take 0 of the 1 MiB allowed there'],
      'it is reported once',
    )
    t.equal(spills.used, 10 * BLOCK, 'a user that comes later has a share')
    t.ok(spills.failing)
    for (const one of logs) t.ok((await whole(one.log, BLOCK)).equals(one.all))
    logs[0]!.release()
    await settled()
    t.notOk(spills.failing)
    make('ann', 3, 5)
    await settled()
    t.equal(spills.used, 6 * BLOCK)
    t.equal(failures.length, 1)
  },
)

t.test('a read of a disk that does not answer can be interrupted, and only a few run at once', async t => {
  const { disk, log } = stage()
  const { log: it } = log()
  const all = bytes(3 * BLOCK)
  it.append(all)
  it.end()
  await settled()
  disk.slow = []
  const patient = Array.from({ length: 2 * SPILL_READS }, (_, i) => it.read(i * 1000, 1000, new AbortController()))
  const stops = Array.from({ length: SPILL_READS }, () => new AbortController())
  const ends = Promise.allSettled(stops.map((stop, i) => it.read(i, 1, stop)))
  await settled()
  for (const stop of stops) stop.abort()
  for (const end of await ends) t.match(end, { status: 'rejected', reason: { message: 'interrupted' } })
  await disk.go()
  for (const [i, piece] of (await Promise.all(patient)).entries())
    t.ok(all.subarray(i * 1000, i * 1000 + 1000).equals(piece), `read ${i}`)
  t.equal(disk.mostReads, SPILL_READS)
  const late = new AbortController()
  disk.slow = []
  const begun = it.read(0, 10, late)
  await settled()
  late.abort()
  await t.rejects(Promise.resolve(begun), { message: 'interrupted' })
})

t.test(
  'reads of a disk that does not answer fail with an i/o error after a while, also those that wait for their turn',
  async t => {
    const { disk, clock, log } = stage()
    const { log: it } = log()
    it.append(bytes(2 * BLOCK))
    it.end()
    await settled()
    disk.slow = []
    const reads = Promise.allSettled(
      Array.from({ length: SPILL_READS + 1 }, () => it.read(0, 10, new AbortController())),
    )
    await clock.pass(SPILL_READ_MS)
    for (const end of await reads)
      t.match(end, { status: 'rejected', reason: { message: /^i\/o error: .*not answered for 30 s/, errno: 5 } })
    await disk.go()
    t.equal((await it.read(0, 10, never)).length, 10, 'reads work again when the disk does')
  },
)

t.test('a client that asks for much of a file and reads no reply has only a few reads under way', async t => {
  const { disk, log } = stage()
  const { log: it } = log()
  const all = bytes(2_000_000)
  it.append(all)
  it.end()
  await settled()
  disk.slow = []
  const owner = { name: 'ann', uid: 1000 }
  const [near, far] = transportPair()
  serve(far, { attach: () => ({ root: logFile(() => it, owner), user: { ...owner, role: 'use' } }) })
  const client = await Client.connect(near, { msize: MAX_MSIZE })
  t.teardown(() => client.close())
  const fid = await client.attach({ uname: 'ann' })
  await fid.open(OREAD)
  const reads = Promise.all(Array.from({ length: 30 }, (_, i) => fid.read(i, 1_000_000)))
  await settled()
  t.ok(disk.reads <= MAX_QUEUED / 1e6 + 1, `${disk.reads} reads`)
  await disk.go()
  for (const [i, piece] of (await reads).entries()) t.ok(all.subarray(i, i + 1_000_000).equals(piece), `read ${i}`)
})

t.test('reads of a file that was cut or removed from outside fail with an i/o error', async t => {
  const { disk, log } = stage()
  const { log: it } = log()
  it.append(bytes(2 * BLOCK))
  it.end()
  await settled()
  const [name] = disk.files.keys()
  disk.files.set(name!, Buffer.alloc(10))
  await t.rejects(Promise.resolve(it.read(0, 100, never)), { message: /^i\/o error: .*truncated/, errno: 5 })
  disk.files.clear()
  await t.rejects(Promise.resolve(it.read(0, 100, never)), { message: /^i\/o error: .*ENOENT/ })
})
