/** A client's use of a file in 9P2000.L. */
import { FsError, fail } from '../base/errors.js'
import { WINDOW } from '../base/limits.js'
import { parseDirents } from '../wire/field.js'
import {
  AT_REMOVEDIR,
  DT_BLK,
  DT_CHR,
  DT_FIFO,
  DT_LNK,
  DT_SOCK,
  O_APPEND,
  O_CREAT,
  O_EXCL,
  O_TRUNC,
  SETATTR,
} from '../wire/linux.js'
import {
  DMDEVICE,
  DMDIR,
  DMNAMEDPIPE,
  DMSOCKET,
  DMSYMLINK,
  OAPPEND,
  OEXCL,
  OEXEC,
  ORCLOSE,
  OREAD,
  OTRUNC,
  QTDIR,
  type Stat,
} from '../wire/protocol.js'
import { type FileOperations, unknownStat } from './dialect.js'
import * as linux from './linux.js'

/** A server's errnos for an entry that the user may see in a directory but not stat. */
const EPERM = 1
const EACCES = 13

/** The errnos of a server that does not implement Tunlinkat. */
const ENOSYS = 38
const EOPNOTSUPP = 95

/** The fields of a stat that Tsetattr can change, with the bits of its `valid`. */
const { MODE, UID, GID, SIZE, ATIME, ATIME_SET, MTIME, MTIME_SET } = SETATTR
const SET = {
  mode: MODE,
  n_uid: UID,
  n_gid: GID,
  length: SIZE,
  atime: ATIME | ATIME_SET,
  mtime: MTIME | MTIME_SET,
} as const

/** The mode bits of 9P2000.u by the type that an entry of Rreaddir carries. A directory is recognised by its qid. */
const KINDS: Readonly<Record<number, number>> = {
  [DT_FIFO]: DMNAMEDPIPE,
  [DT_CHR]: DMDEVICE,
  [DT_BLK]: DMDEVICE,
  [DT_LNK]: DMSYMLINK,
  [DT_SOCK]: DMSOCKET,
}

export const linuxDialect: FileOperations = {
  // diod 1.0.24 crashes with SIGSEGV at a request on a fid that it is still walking to
  asksBehindWalk: false,

  async open(file, mode, signal) {
    const opening = await file.rpc({ type: 'Tlopen', fid: file.fid, flags: openFlags(mode) }, signal)
    // Linux's own client also truncates with a separate request, and nfs-ganesha (seen in 4.3) relies on that
    if (mode & OTRUNC && (await linux.getattr(file, signal)).size > 0n)
      await linuxDialect.wstat(file, { length: 0n }, signal)
    return opening
  },

  async create(dir, name, perm, mode, gid, signal) {
    const { fid } = dir
    const names = [...dir.position.names, name]
    if (perm & DMDIR) {
      await dir.rpc({ type: 'Tmkdir', dfid: fid, name, mode: perm & 0o7777, gid }, signal)
      const { wqid } = await dir.rpc({ type: 'Twalk', fid, newfid: fid, wname: [name] }, signal)
      if (wqid.length === 0) throw fail('notFound')
      dir.moved(names)
      return linuxDialect.open(dir, mode, signal)
    }
    const flags = openFlags(mode) | O_CREAT
    const opening = await dir.rpc({ type: 'Tlcreate', fid, name, flags, mode: perm & 0o7777, gid }, signal)
    dir.moved(names)
    return opening
  },

  async stat(file, signal) {
    const a = await linux.getattr(file, signal)
    return {
      ...unknownStat(file.position.names.at(-1) ?? '/', a.qid),
      mode: ((a.qid.type << 24) | (KINDS[(a.mode >>> 12) & 15] ?? 0) | (a.mode & 0o777)) >>> 0,
      atime: seconds(a.atime_sec),
      mtime: seconds(a.mtime_sec),
      length: a.qid.type & QTDIR ? 0n : a.size,
      uid: String(a.uid),
      gid: String(a.gid),
      n_uid: a.uid,
      n_gid: a.gid,
    }
  },

  async wstat(file, changes, signal) {
    const { name, mode = 0, length = 0n, atime = 0, mtime = 0, n_uid: uid = 0, n_gid: gid = 0 } = changes
    let valid = 0
    for (const key in SET) if (changes[key as keyof typeof SET] !== undefined) valid |= SET[key as keyof typeof SET]
    if (valid) {
      const times = { atime_sec: BigInt(atime), atime_nsec: 0n, mtime_sec: BigInt(mtime), mtime_nsec: 0n }
      await linux.setattr(file, { valid, mode: mode & 0o777, uid, gid, size: length, ...times }, signal)
    }
    if (name === undefined) return
    const { root, names } = file.position
    const dir = await root.walk(names.slice(0, -1), signal)
    try {
      await linux.rename(file, dir, name, signal)
      file.moved([...names.slice(0, -1), name])
    } finally {
      dir.drop()
    }
  },

  async sync(file, signal) {
    await file.rpc({ type: 'Tfsync', fid: file.fid, datasync: 0 }, signal)
  },

  /** Does nothing: no server of this dialect has the check. */
  async finish() {},

  async list(dir, offset, count, signal) {
    const { data } = await dir.rpc({ type: 'Treaddir', fid: dir.fid, offset, count }, signal)
    const entries: Stat[] = []
    let next = offset
    for (const { name, qid, offset: cookie, type } of parseDirents(data)) {
      entries.push({ ...unknownStat(name, qid), mode: ((qid.type << 24) | (KINDS[type] ?? 0)) >>> 0 })
      next = cookie
    }
    return { entries, next, bytes: data.length }
  },

  async stats(dir, entries, signal) {
    const { root, names } = dir.position
    const ask = async ({ name }: Stat): Promise<Stat> => {
      const fid = await root.walk([...names, name], signal)
      return fid.stat(signal).finally(() => fid.clunk().catch(() => {}))
    }
    const one = (entry: Stat) =>
      ask(entry).catch(error => {
        if (!(error instanceof FsError)) throw error
        if (error.errno === EACCES || error.errno === EPERM) return entry
        if (!error.isMissing) throw error
      })
    const out: Stat[] = []
    for (let i = 0; i < entries.length; i += WINDOW)
      for (const stat of await Promise.all(entries.slice(i, i + WINDOW).map(one))) if (stat) out.push(stat)
    return out
  },

  /**
   * Removes the file by its name, as Linux's own client does: nfs-ganesha (seen in 4.3) crashes with SIGSEGV at a
   * Tremove.
   */
  async remove(file, end) {
    const { root, names } = file.position
    if (names.length === 0) return end('Tremove')
    try {
      const dir = await root.walk(names.slice(0, -1))
      const flags = file.qid.type & QTDIR ? AT_REMOVEDIR : 0
      await linux.unlinkat(dir, names.at(-1)!, flags).finally(() => dir.clunk().catch(() => {}))
    } catch (error) {
      if (error instanceof FsError && (error.errno === ENOSYS || error.errno === EOPNOTSUPP)) return end('Tremove')
      await end('Tclunk').catch(() => {})
      throw error
    }
    return end('Tclunk')
  },
}

/** Converts open(5)'s mode to open(2)'s flags. */
function openFlags(mode: number): number {
  if (mode & ORCLOSE) throw fail('notSupported', '9P2000.L has no remove on close')
  const access = (mode & 3) === OEXEC ? OREAD : mode & 3
  return access | (mode & OTRUNC ? O_TRUNC : 0) | (mode & OAPPEND ? O_APPEND : 0) | (mode & OEXCL ? O_EXCL : 0)
}

/**
 * Converts a time of an Rgetattr to the 32 bits of a stat: times before 1970 become 0, times after 2106 the largest
 * value.
 */
function seconds(time: bigint): number {
  return Math.min(Math.max(Number(BigInt.asIntN(64, time)), 0), 0xffffffff)
}
