import { DMDIR, NONUNAME, OTRUNC, type Stat } from '../fs/message.js'

const S_IFDIR = 0o040000
const S_IFREG = 0o100000
/** What readdir(3) calls the same. */
const DT_DIR = 4
const DT_REG = 8

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

export function direntType(stat: Stat): number {
  return stat.mode & DMDIR ? DT_DIR : DT_REG
}

/**
 * access(2) from mode bits: `want` is any of 4 read, 2 write, 1 execute. Who is neither owner nor root may be in the group
 * (9P's groups are the server's to know), so both remaining classes count; the server has the last word at the open.
 */
export function permits(at: { mode: number; uid: number }, uid: number, want: number): boolean {
  if (uid === 0) return true
  const bits = uid === at.uid ? at.mode >> 6 : (at.mode >> 3) | at.mode
  return (want & ~bits & 7) === 0
}

/** open(2)'s flags as 9P's mode. O_APPEND is the kernel's: it sends the offsets. */
export function openMode(flags: number): number {
  const O_TRUNC = 0o1000
  return (flags & 3) | (flags & O_TRUNC ? OTRUNC : 0)
}
