/**
 * The names of the 9P manuals: dialects, special numbers, and the bits of qids, modes and opens; a qid, a stat, a
 * directory entry.
 */

export type Dialect = '9P2000' | '9P2000.u' | '9P2000.L'

export const NOTAG = 0xffff
export const NOFID = 0xffffffff
/** The value of `n_uname` and of the numeric ids of a 9P2000.u stat when there is no number. */
export const NONUNAME = 0xffffffff

export const QTDIR = 0x80
export const QTAPPEND = 0x40
export const QTEXCL = 0x20
export const QTMOUNT = 0x10
export const QTAUTH = 0x08
export const QTTMP = 0x04
export const QTSYMLINK = 0x02
export const QTFILE = 0

export const DMDIR = 0x80000000
export const DMAPPEND = 0x40000000
export const DMEXCL = 0x20000000
export const DMAUTH = 0x08000000
export const DMTMP = 0x04000000
// added by 9P2000.u
export const DMSYMLINK = 0x02000000
export const DMDEVICE = 0x00800000
export const DMNAMEDPIPE = 0x00200000
export const DMSOCKET = 0x00100000

export const OREAD = 0
export const OWRITE = 1
export const ORDWR = 2
export const OEXEC = 3
export const OTRUNC = 0x10
export const ORCLOSE = 0x40
/** The append bit of v9fs in a 9P2000.u Topen; not part of 9P2000. */
export const OAPPEND = 0x80
/** A create flag of Plan 9's libc: fail if the file exists. On the wire only as O_EXCL of 9P2000.L. */
export const OEXCL = 0x1000

/**
 * The server's identifier of a file: `path` is unique for the file's life; `version` 0 says "synthetic, do not cache".
 */
export interface Qid {
  type: number
  version: number
  path: bigint
}

/** stat(5). `mode` has the DM bits; times are seconds since 1970. The last four are 9P2000.u only. */
export interface Stat {
  type: number
  dev: number
  qid: Qid
  mode: number
  atime: number
  mtime: number
  length: bigint
  name: string
  uid: string
  gid: string
  muid: string
  extension: string
  n_uid: number
  n_gid: number
  n_muid: number
}

/** One entry of an Rreaddir's data: qid[13] offset[8] type[1] name[s]. */
export interface Dirent {
  qid: Qid
  /** The offset at which a read continues after this entry. */
  offset: bigint
  /** d_type: 4 a directory, 8 a file. */
  type: number
  name: string
}
