/** The second FUSE driver: the optional package fuse-native, with libfuse 2 behind it. */

import { timeLimit } from '../fs/base/clock.js'
import { fail, toFsError } from '../fs/base/errors.js'
import { namesOf } from '../fs/base/path.js'
import type { Fid } from '../fs/client/client.js'
import { openMode } from '../fs/wire/linux.js'
import { DMDIR, ORDWR, OREAD, OWRITE, QTDIR, type Stat } from '../fs/wire/protocol.js'
import { unixStat } from './attributes.js'
import type { Mounted } from './fuse/mounted.js'
import type { Link } from './link.js'

/**
 * How long one call may wait, in ms. fuse-native does not pass interrupts on, so a waiting program cannot be ended
 * before its call ends. After this time a read that has received nothing fails with EAGAIN, and every other call with
 * EIO.
 */
const WAIT_MS = 15_000
/**
 * The file system's subtype, and further libfuse options: fuse-native has no setting for those, but joins what it
 * passes on with commas.
 */
const SUBTYPE = 'llambo,direct_io,big_writes,hard_remove'

type Done = (errno: number, ...values: unknown[]) => void
/** The part of fuse-native 2.2.6 that this file uses; the package has no types. */
interface Native {
  new (
    dir: string,
    operations: Record<string, (...args: any[]) => void>,
    options: object,
  ): { mount(done: (error: Error | null) => void): void }
}

async function load(): Promise<Native> {
  const name = 'fuse-native'
  try {
    return (await import(name)).default
  } catch (error) {
    const why = (error as Error).message
    const remedy = why.includes('libfuse') ? 'install the package libfuse2' : 'npm install fuse-native'
    throw new Error(`cannot load the driver fuse-native (${why.split('\n')[0]}): ${remedy}`)
  }
}

/**
 * Mounts by fuse-native, for machines where llambo's own driver cannot run. Every request acts as the mounting user,
 * because the package does not say which user made it; the mount is therefore never shared.
 * @throws Error in one line with the remedy
 */
export async function mount(link: Link, dir: string, allowOther: boolean): Promise<Mounted> {
  if (allowOther)
    throw new Error('the driver fuse-native cannot tell users apart: leave out --allow-other, or leave out --driver')
  const Fuse = await load()
  const stopped = new AbortController()
  const fuse = new Fuse(dir, operations(link, stopped.signal), {
    fsname: 'llambo',
    subtype: SUBTYPE,
    entryTimeout: '0',
    attrTimeout: '0',
    // WAIT_MS is shorter, and answers with the right errno
    timeout: false,
  })
  await new Promise<void>((done, failed) => fuse.mount(error => (error ? failed(error) : done())))
  return { done: new Promise(() => {}), ended: false, stop: () => stopped.abort() }
}

function operations(link: Link, stopped: AbortSignal): Record<string, (...args: any[]) => void> {
  const owner = { uid: process.getuid!(), gid: process.getgid!() }
  const handles = new Map<number, { fid: Fid; writes: boolean }>()
  let last = 0

  /**
   * Wraps an operation for fuse-native: calls `work` with a signal, then calls back with its values, its count or the
   * negated errno. `late` is the error of a call that took longer than WAIT_MS.
   */
  const op =
    <A extends unknown[]>(work: (signal: AbortSignal, ...args: A) => Promise<unknown>, late = fail('io')) =>
    (...all: unknown[]) => {
      const done = all.pop() as Done
      const timeout = timeLimit(WAIT_MS)
      work(AbortSignal.any([timeout, stopped]), ...(all as A)).then(
        result => (typeof result === 'number' ? done(result) : done(0, ...(Array.isArray(result) ? result : []))),
        error => done(-(timeout.aborted ? late : toFsError(error)).errno),
      )
    }
  const walk = async (path: string, signal: AbortSignal) => (await link.root(owner.uid)).walk(namesOf(path), signal)
  const at = async <T>(path: string, signal: AbortSignal, use: (fid: Fid) => Promise<T>): Promise<T> => {
    const fid = await walk(path, signal)
    try {
      return await use(fid)
    } finally {
      fid.drop()
    }
  }
  const split = (path: string): [string, string] => {
    const slash = path.lastIndexOf('/')
    return [path.slice(0, slash), path.slice(slash + 1)]
  }
  const handle = (fd: number) => {
    const found = handles.get(fd)
    if (!found) throw fail('unknownFid')
    return found
  }
  const opened = (fid: Fid, mode: number): [number] => {
    handles.set(++last, { fid, writes: (mode & 3) === OWRITE || (mode & 3) === ORDWR })
    return [last]
  }
  const attributes = (stat: Stat) => {
    const s = unixStat(stat, owner)
    const time = (seconds: number) => new Date(seconds * 1000)
    return {
      ...s,
      ino: Number(s.ino & 0xffffffffn),
      size: Number(s.size),
      blocks: Number(s.blocks),
      atime: time(s.atime),
      mtime: time(s.mtime),
      ctime: time(s.ctime),
    }
  }
  const open = async (fid: Fid, begin: (fid: Fid) => Promise<unknown>, mode: number) => {
    try {
      await begin(fid)
    } catch (error) {
      fid.drop()
      throw error
    }
    return opened(fid, mode)
  }
  const sync = async (signal: AbortSignal, fd: number) => {
    const { fid, writes } = handle(fd)
    if (writes) await fid.finish(signal)
  }
  const change = (path: string, signal: AbortSignal, to: Partial<Stat>) =>
    at(path, signal, fid => fid.wstat(to, signal))
  const remove = op(async (signal, path: string) => (await walk(path, signal)).remove())
  const accept = op(async () => {})

  return {
    getattr: op((signal, path: string) => at(path, signal, async fid => [attributes(await fid.stat(signal))])),
    fgetattr: op(async (signal, _path: string, fd: number) => [attributes(await handle(fd).fid.stat(signal))]),
    readdir: op((signal, path: string) =>
      at(path, signal, async fid => {
        const entries = await (await fid.open(OREAD, signal)).list(signal)
        return [['.', '..', ...entries.map(stat => stat.name)]]
      }),
    ),
    open: op(async (signal, path: string, flags: number) => {
      const mode = openMode(flags)
      return open(await walk(path, signal), fid => fid.open(mode, signal), mode)
    }),
    create: op(async (signal, path: string, mode: number) => {
      const [dir, name] = split(path)
      return open(await walk(dir, signal), fid => fid.create(name, mode & 0o777, ORDWR, signal), ORDWR)
    }),
    read: op(async (signal, _path: string, fd: number, into: Buffer, count: number, offset: number) => {
      const data = await handle(fd).fid.read(offset, count, signal)
      into.set(data.subarray(0, count))
      return Math.min(data.length, count)
    }, fail('tryAgain')),
    write: op((signal, _path: string, fd: number, from: Buffer, count: number, offset: number) =>
      handle(fd).fid.write(offset, from.slice(0, count), signal),
    ),
    flush: op((signal, _path: string, fd: number) => sync(signal, fd)),
    fsync: op((signal, _path: string, _datasync: number, fd: number) => sync(signal, fd)),
    release(_path: string, fd: number, done: Done) {
      handles
        .get(fd)
        ?.fid.clunk()
        .catch(() => {})
      handles.delete(fd)
      done(0)
    },
    mkdir: op(async (signal, path: string, mode: number) => {
      const [dir, name] = split(path)
      await at(dir, signal, fid => fid.create(name, (DMDIR | (mode & 0o777)) >>> 0, OREAD, signal))
    }),
    unlink: remove,
    rmdir: remove,
    rename: op(async (signal, from: string, to: string) => {
      if (split(from)[0] !== split(to)[0]) throw fail('crossDevice')
      await change(from, signal, { name: split(to)[1] })
    }),
    truncate: op((signal, path: string, size: number) => change(path, signal, { length: BigInt(size) })),
    ftruncate: op((signal, _path: string, fd: number, size: number) =>
      handle(fd).fid.wstat({ length: BigInt(size) }, signal),
    ),
    chmod: op((signal, path: string, mode: number) =>
      at(path, signal, fid => fid.wstat({ mode: ((mode & 0o777) | (fid.qid.type & QTDIR ? DMDIR : 0)) >>> 0 }, signal)),
    ),
    utimens: op((signal, path: string, _atime: number, mtime: number) =>
      change(path, signal, { mtime: Math.floor(mtime / 1000) }),
    ),
    chown: accept,
    access: accept,
    statfs: (_path: string, done: Done) => done(0, { bsize: 4096, frsize: 4096, namemax: 255 }),
  }
}
