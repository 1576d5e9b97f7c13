/** Numbers of Linux that messages of 9P2000.L carry, with the values of x86 on every machine. */

import { OTRUNC } from './protocol.js'

/** Flags of open(2). */
export const O_ACCMODE = 3
export const O_CREAT = 0o100
export const O_EXCL = 0o200
export const O_TRUNC = 0o1000
export const O_APPEND = 0o2000
export const O_DIRECTORY = 0o200000

/** Converts the access and the truncation of open(2)'s flags to open(5)'s mode. */
export const openMode = (flags: number): number => (flags & O_ACCMODE) | (flags & O_TRUNC ? OTRUNC : 0)

/** The flag of unlinkat(2) for removing a directory. */
export const AT_REMOVEDIR = 0x200

/** The type of a file in the mode of stat(2). */
export const S_IFMT = 0o170000
export const S_IFDIR = 0o040000
export const S_IFREG = 0o100000

/** The type of a file in an entry of readdir(3): the S_IFMT bits of its mode, shifted right by 12. */
export const DT_UNKNOWN = 0
export const DT_FIFO = 1
export const DT_CHR = 2
export const DT_DIR = 4
export const DT_BLK = 6
export const DT_REG = 8
export const DT_LNK = 10
export const DT_SOCK = 12

/** Bits of Tgetattr's `request_mask` and Rgetattr's `valid`: everything that stat(2) returns. */
export const GETATTR_BASIC = 0x7ffn

/** Bits of Tsetattr's `valid`. Without its _SET bit, a time becomes the server's current time. */
export const SETATTR = {
  MODE: 1,
  UID: 2,
  GID: 4,
  SIZE: 8,
  ATIME: 0x10,
  MTIME: 0x20,
  CTIME: 0x40,
  ATIME_SET: 0x80,
  MTIME_SET: 0x100,
} as const
