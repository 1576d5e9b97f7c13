/** The fuzzer's seeds for the client: replies. */

import { inDialect, type Message, pack, type RMessage } from '../../fs/wire/message.js'
import type { Dialect } from '../../fs/wire/protocol.js'
import { statOf } from './hostile.js'

type Loose = { type: RMessage['type']; [field: string]: unknown }

const file = { type: 0, version: 0, path: 7n }
const root = { type: 0x80, version: 0, path: 1n }
const stat = statOf('file', { qid: file, mode: 0o644 })
const getattr = {
  valid: 0x7ffn,
  qid: file,
  mode: 0o100644,
  uid: 1000,
  gid: 100,
  nlink: 1n,
  rdev: 0n,
  size: 12n,
  blksize: 4096n,
  blocks: 1n,
  atime_sec: 1n,
  atime_nsec: 0n,
  mtime_sec: 1n,
  mtime_nsec: 0n,
  ctime_sec: 1n,
  ctime_nsec: 0n,
  btime_sec: 0n,
  btime_nsec: 0n,
  gen: 0n,
  data_version: 0n,
}
const data = new TextEncoder().encode('hello, world')

const begin: Loose[] = [
  { type: 'Rattach', qid: root },
  { type: 'Rwalk', wqid: [file] },
]
const lists: Loose[][] = [
  [
    ...begin,
    { type: 'Ropen', qid: file, iounit: 100 },
    { type: 'Rlopen', qid: file, iounit: 100 },
    { type: 'Rread', data },
    { type: 'Rread', data: data.subarray(0, 0) },
    { type: 'Rwrite', count: 12 },
    { type: 'Rclunk' },
  ],
  [
    ...begin,
    { type: 'Rstat', stat },
    { type: 'Rgetattr', ...getattr },
    { type: 'Rwstat' },
    { type: 'Rsetattr' },
    { type: 'Rrename' },
  ],
  [
    ...begin,
    { type: 'Rcreate', qid: file, iounit: 0 },
    { type: 'Rlcreate', qid: file, iounit: 0 },
    { type: 'Rmkdir', qid: root },
    { type: 'Rremove' },
    { type: 'Rflush' },
    { type: 'Rfsync' },
    { type: 'Rreaddir', data: data.subarray(0, 0) },
    {
      type: 'Rstatfs',
      fstype: 1,
      bsize: 1,
      blocks: 1n,
      bfree: 1n,
      bavail: 1n,
      files: 1n,
      ffree: 1n,
      fsid: 1n,
      namelen: 255,
    },
    { type: 'Rauth', aqid: { type: 8, version: 0, path: 2n } },
    { type: 'Rerror', ename: 'file does not exist', errno: 2 },
    { type: 'Rlerror', ecode: 2 },
  ],
]

/** Sequences of replies that a server of this dialect may send. */
export function replies(dialect: Dialect): Uint8Array[][] {
  return lists.map(list =>
    list
      .filter(m => inDialect(m.type, dialect))
      .map((m, i) => pack({ tag: 2 * i, ...m } as unknown as Message, dialect)),
  )
}
