import type { Msg } from '../fs/message.js'
import {
  DMDEVICE,
  DMDIR,
  DMNAMEDPIPE,
  DMSOCKET,
  DMSYMLINK,
  NONUNAME,
  OAPPEND,
  OEXCL,
  OTRUNC,
  type Stat,
} from '../fs/protocol.js'

const S_IFMT = 0o170000
const S_IFDIR = 0o040000
const S_IFREG = 0o100000
/** What readdir(3) calls the same. */
const DT_UNKNOWN = 0
const DT_DIR = 4
const DT_REG = 8
const DT = [
  [DMDIR, DT_DIR],
  [DMSYMLINK, 10],
  [DMNAMEDPIPE, 1],
  [DMSOCKET, 12],
  // a block or a character device: who wants to know asks
  [DMDEVICE, DT_UNKNOWN],
] as const

/** Whose files are those that the server names no number for: the mounting user's. */
export interface Owner {
  uid: number
  gid: number
}

/** A 9P stat as stat(2) tells it; times in seconds. */
export function unixStat(stat: Stat, owner: Owner) {
  const directory = (stat.mode & DMDIR) !== 0
  return {
    ino: stat.qid.path,
    mode: (directory ? S_IFDIR : S_IFREG) | (stat.mode & 0o777),
    nlink: directory ? 2 : 1,
    uid: stat.n_uid === NONUNAME ? owner.uid : stat.n_uid,
    gid: stat.n_gid === NONUNAME ? owner.gid : stat.n_gid,
    size: stat.length,
    blocks: (stat.length + 511n) / 512n,
    blksize: 4096,
    atime: stat.atime,
    mtime: stat.mtime,
    ctime: stat.mtime,
  }
}

/** An Rgetattr as stat(2) tells it. */
export function linuxStat(a: Omit<Msg<'Rgetattr'>, 'tag'>) {
  return {
    ino: a.qid.path,
    mode: a.mode,
    nlink: Number(a.nlink),
    uid: a.uid,
    gid: a.gid,
    rdev: Number(BigInt.asUintN(32, a.rdev)),
    size: a.size,
    blocks: a.blocks,
    blksize: Number(a.blksize),
    atime: a.atime_sec,
    atimensec: Number(a.atime_nsec),
    mtime: a.mtime_sec,
    mtimensec: Number(a.mtime_nsec),
    ctime: a.ctime_sec,
    ctimensec: Number(a.ctime_nsec),
  }
}

/** What stat(2) tells of a file, from either. */
export type UnixStat = ReturnType<typeof unixStat> | ReturnType<typeof linuxStat>

export function direntType(stat: Pick<Stat, 'mode'>): number {
  return DT.find(([bit]) => stat.mode & bit)?.[1] ?? DT_REG
}

/**
 * access(2) from mode bits: `want` is any of 4 read, 2 write, 1 execute. Who is neither owner nor root may be in the group
 * (9P's groups are the server's to know), so both remaining classes count; the server has the last word at the open.
 */
export function permits(at: { mode: number; uid: number }, uid: number, want: number): boolean {
  // root may do anything but run what nobody may
  if (uid === 0) return (want & 1) === 0 || (at.mode & 0o111) !== 0 || (at.mode & S_IFMT) === S_IFDIR
  const bits = uid === at.uid ? at.mode >> 6 : (at.mode >> 3) | at.mode
  return (want & ~bits & 7) === 0
}

/**
 * open(2)'s flags as 9P's mode. O_APPEND and O_EXCL are the kernel's, which sends the offsets and has looked the name up; to a
 * server of 9P2000.L they go as well, for it has other clients.
 */
export function openMode(flags: number, linux = false): number {
  const O_EXCL = 0o200
  const O_TRUNC = 0o1000
  const O_APPEND = 0o2000
  const mode = (flags & 3) | (flags & O_TRUNC ? OTRUNC : 0)
  return linux ? mode | (flags & O_APPEND ? OAPPEND : 0) | (flags & O_EXCL ? OEXCL : 0) : mode
}
