/** File attributes and modes, translated between 9P and Linux's stat(2) and access(2). */
import { DT_DIR, DT_FIFO, DT_LNK, DT_REG, DT_SOCK, DT_UNKNOWN, S_IFDIR, S_IFMT, S_IFREG } from '../fs/wire/linux.js'
import type { Msg } from '../fs/wire/message.js'
import { DMDEVICE, DMDIR, DMNAMEDPIPE, DMSOCKET, DMSYMLINK, NONUNAME, type Stat } from '../fs/wire/protocol.js'

const DT = [
  [DMDIR, DT_DIR],
  [DMSYMLINK, DT_LNK],
  [DMNAMEDPIPE, DT_FIFO],
  [DMSOCKET, DT_SOCK],
  // DMDEVICE stands for both block and character devices; a program that needs to know calls stat(2)
  [DMDEVICE, DT_UNKNOWN],
] as const

/** The owner shown for files whose owner the server gives no number for: the mounting user. */
export interface Owner {
  uid: number
  gid: number
}

/** Converts a 9P stat to the fields of stat(2); times in seconds. */
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

/** Converts an Rgetattr to the fields of stat(2). */
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

/** The fields of stat(2), from a 9P stat or an Rgetattr. */
export type UnixStat = ReturnType<typeof unixStat> | ReturnType<typeof linuxStat>

export function direntType(stat: Pick<Stat, 'mode'>): number {
  return DT.find(([bit]) => stat.mode & bit)?.[1] ?? DT_REG
}

/**
 * Answers access(2) from mode bits. `want` combines 4 read, 2 write and 1 execute. Only the server knows 9P's groups,
 * so a user who is neither owner nor root may be in the file's group: the bits of group and others both count. The
 * server decides at the open.
 */
export function permits(at: { mode: number; uid: number }, uid: number, want: number): boolean {
  // root may do anything except execute a file that nobody may execute
  if (uid === 0) return (want & 1) === 0 || (at.mode & 0o111) !== 0 || (at.mode & S_IFMT) === S_IFDIR
  const bits = uid === at.uid ? at.mode >> 6 : (at.mode >> 3) | at.mode
  return (want & ~bits & 7) === 0
}
