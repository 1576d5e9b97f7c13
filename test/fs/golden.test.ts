/** The bytes of every message in every dialect, worked out by hand from the specifications. */
import assert from 'node:assert/strict'
import t from 'tap'
import { bareStat, dirent, type Field } from '../../fs/wire/field.js'
import { messages, pack, unpack } from '../../fs/wire/message.js'
import { type Dialect, NONUNAME } from '../../fs/wire/protocol.js'
import { parse, text } from '../../fs/wire/text.js'
import { dialects } from './arbitrary.js'

/**
 * Each message as text, and its bytes in hex: size[4] type[1] tag[2] and the fields, little-endian, separated by
 * spaces.
 */
const u = ['9P2000.u'] as const
const L = ['9P2000.L'] as const
const uL = ['9P2000.u', '9P2000.L'] as const
const plain = ['9P2000'] as const
const base = ['9P2000', '9P2000.u'] as const

const golden: [readonly Dialect[], string, string][] = [
  [dialects, 'Tversion tag ~0 msize 8192 version 9P2000', '13000000 64 ffff 00200000 0600 395032303030'],
  [dialects, 'Tversion tag ~0 msize 131096 version 9P2000.u', '15000000 64 ffff 18000200 0800 3950323030302e75'],
  [dialects, 'Rversion tag ~0 msize 8192 version unknown', '14000000 65 ffff 00200000 0700 756e6b6e6f776e'],
  [plain, "Tauth tag 1 afid 7 uname glenda aname ''", '15000000 66 0100 07000000 0600 676c656e6461 0000'],
  [
    uL,
    "Tauth tag 1 afid 7 uname glenda aname '' n_uname 1000",
    '19000000 66 0100 07000000 0600 676c656e6461 0000 e8030000',
  ],
  [dialects, 'Rauth tag 1 aqid (5 0 0x8)', '14000000 67 0100 08 00000000 0500000000000000'],
  [
    plain,
    'Tattach tag 1 fid 0 afid ~0 uname glenda aname /a',
    '1b000000 68 0100 00000000 ffffffff 0600 676c656e6461 0200 2f61',
  ],
  [
    uL,
    'Tattach tag 1 fid 0 afid ~0 uname glenda aname /a',
    '1f000000 68 0100 00000000 ffffffff 0600 676c656e6461 0200 2f61 ffffffff',
  ],
  [
    uL,
    "Tattach tag 1 fid 0 afid 7 uname '' aname '' n_uname 1000",
    '17000000 68 0100 00000000 07000000 0000 0000 e8030000',
  ],
  [dialects, 'Rattach tag 1 qid (1 0 0x80)', '14000000 69 0100 80 00000000 0100000000000000'],
  [plain, "Rerror tag 2 ename 'file does not exist'", '1c000000 6b 0200 1300 66696c6520646f6573206e6f74206578697374'],
  [
    u,
    "Rerror tag 2 ename 'file does not exist' errno 2",
    '20000000 6b 0200 1300 66696c6520646f6573206e6f74206578697374 02000000',
  ],
  [dialects, 'Tflush tag 3 oldtag 258', '09000000 6c 0300 0201'],
  [dialects, 'Rflush tag 3', '07000000 6d 0300'],
  [
    dialects,
    'Twalk tag 4 fid 1 newfid 2 wname [models qwen]',
    '1f000000 6e 0400 01000000 02000000 0200 0600 6d6f64656c73 0400 7177656e',
  ],
  [dialects, 'Twalk tag 4 fid 1 newfid 2 wname []', '11000000 6e 0400 01000000 02000000 0000'],
  [dialects, "Twalk tag 4 fid 1 newfid 2 wname ['ü €']", '19000000 6e 0400 01000000 02000000 0100 0600 c3bc 20 e282ac'],
  [
    dialects,
    'Rwalk tag 4 wqid [(3 0 0x80) (4 5 0x0)]',
    '23000000 6f 0400 0200 80 00000000 0300000000000000 00 05000000 0400000000000000',
  ],
  [dialects, 'Rwalk tag 4 wqid []', '09000000 6f 0400 0000'],
  [base, 'Topen tag 5 fid 2 mode 17', '0c000000 70 0500 02000000 11'],
  [base, 'Ropen tag 5 qid (4 0 0x0) iounit 8168', '18000000 71 0500 00 00000000 0400000000000000 e81f0000'],
  [plain, 'Tcreate tag 6 fid 2 name n perm 0o644 mode 1', '13000000 72 0600 02000000 0100 6e a4010000 01'],
  [u, 'Tcreate tag 6 fid 2 name n perm 0o644 mode 1', '15000000 72 0600 02000000 0100 6e a4010000 01 0000'],
  [
    u,
    'Tcreate tag 6 fid 2 name l perm 0o200000777 mode 0 extension tgt',
    '18000000 72 0600 02000000 0100 6c ff010002 00 0300 746774',
  ],
  [base, 'Rcreate tag 6 qid (4 0 0x0) iounit 0', '18000000 73 0600 00 00000000 0400000000000000 00000000'],
  [dialects, 'Tread tag 7 fid 2 offset 4294967296 count 8168', '17000000 74 0700 02000000 0000000001000000 e81f0000'],
  [dialects, "Rread tag 7 data 'hi'", '0d000000 75 0700 02000000 6869'],
  [dialects, 'Rread tag 7 data 0x00ff', '0d000000 75 0700 02000000 00ff'],
  [dialects, 'Twrite tag 8 fid 2 offset 0 data "hi\\n"', '1a000000 76 0800 02000000 0000000000000000 03000000 68690a'],
  [dialects, 'Rwrite tag 8 count 3', '0b000000 77 0800 03000000'],
  [dialects, 'Tclunk tag 9 fid 2', '0b000000 78 0900 02000000'],
  [dialects, 'Rclunk tag 9', '07000000 79 0900'],
  [dialects, 'Tremove tag 9 fid 2', '0b000000 7a 0900 02000000'],
  [dialects, 'Rremove tag 9', '07000000 7b 0900'],
  [base, 'Tstat tag 10 fid 2', '0b000000 7c 0a00 02000000'],
  // the size of a stat is given twice: n[2] = size[2] + 2
  [
    plain,
    'Rstat tag 10 stat (type 0 dev 0 qid (4 0 0x0) mode 0o644 atime 1 mtime 2 length 3 name f uid u gid g muid m)',
    '3e000000 7d 0a00 3500 3300 0000 00000000 00 00000000 0400000000000000 a4010000 01000000 02000000 0300000000000000 0100 66 0100 75 0100 67 0100 6d',
  ],
  [
    u,
    'Rstat tag 10 stat (type 0 dev 0 qid (4 0 0x0) mode 0o644 atime 1 mtime 2 length 3 name f uid u gid g muid m n_uid 1000 n_gid 100)',
    '4c000000 7d 0a00 4300 4100 0000 00000000 00 00000000 0400000000000000 a4010000 01000000 02000000 0300000000000000 0100 66 0100 75 0100 67 0100 6d 0000 e8030000 64000000 ffffffff',
  ],
  [
    plain,
    "Twstat tag 11 fid 2 stat (type ~0 dev ~0 qid (~0 ~0 0xff) mode ~0 atime ~0 mtime ~0 length ~0 name '' uid '' gid '' muid '')",
    '3e000000 7e 0b00 02000000 3100 2f00 ffff ffffffff ff ffffffff ffffffffffffffff ffffffff ffffffff ffffffff ffffffffffffffff 0000 0000 0000 0000',
  ],
  [
    u,
    "Twstat tag 11 fid 2 stat (type ~0 dev ~0 qid (~0 ~0 0xff) mode ~0 atime ~0 mtime ~0 length ~0 name '' uid '' gid '' muid '')",
    '4c000000 7e 0b00 02000000 3f00 3d00 ffff ffffffff ff ffffffff ffffffffffffffff ffffffff ffffffff ffffffff ffffffffffffffff 0000 0000 0000 0000 0000 ffffffff ffffffff ffffffff',
  ],
  [base, 'Rwstat tag 11', '07000000 7f 0b00'],

  [L, 'Rlerror tag 2 ecode 2', '0b000000 07 0200 02000000'],
  [L, 'Tstatfs tag 1 fid 1', '0b000000 08 0100 01000000'],
  [
    L,
    'Rstatfs tag 1 fstype 16914839 bsize 4096 blocks 1 bfree 2 bavail 3 files 4 ffree 5 fsid 6 namelen 255',
    '43000000 09 0100 97190201 00100000 0100000000000000 0200000000000000 0300000000000000 0400000000000000 0500000000000000 0600000000000000 ff000000',
  ],
  [L, 'Tlopen tag 1 fid 1 flags 32769', '0f000000 0c 0100 01000000 01800000'],
  [L, 'Rlopen tag 1 qid (4 0 0x0) iounit 8168', '18000000 0d 0100 00 00000000 0400000000000000 e81f0000'],
  [
    L,
    'Tlcreate tag 1 fid 1 name n flags 32833 mode 0o644 gid 100',
    '1a000000 0e 0100 01000000 0100 6e 41800000 a4010000 64000000',
  ],
  [L, 'Rlcreate tag 1 qid (4 0 0x0) iounit 0', '18000000 0f 0100 00 00000000 0400000000000000 00000000'],
  [L, 'Tsymlink tag 1 dfid 1 name n target t gid 0', '15000000 10 0100 01000000 0100 6e 0100 74 00000000'],
  [L, 'Rsymlink tag 1 qid (4 0 0x2)', '14000000 11 0100 02 00000000 0400000000000000'],
  [
    L,
    'Tmknod tag 1 dfid 1 name n mode 0o100644 major 1 minor 2 gid 3',
    '1e000000 12 0100 01000000 0100 6e a4810000 01000000 02000000 03000000',
  ],
  [L, 'Rmknod tag 1 qid (4 0 0x0)', '14000000 13 0100 00 00000000 0400000000000000'],
  [L, 'Trename tag 1 fid 1 dfid 2 name n', '12000000 14 0100 01000000 02000000 0100 6e'],
  [L, 'Rrename tag 1', '07000000 15 0100'],
  [L, 'Treadlink tag 1 fid 1', '0b000000 16 0100 01000000'],
  [L, 'Rreadlink tag 1 target t', '0a000000 17 0100 0100 74'],
  [L, 'Tgetattr tag 1 fid 1 request_mask 6143', '13000000 18 0100 01000000 ff17000000000000'],
  [
    L,
    'Rgetattr tag 1 valid 2047 qid (1 0 0x80) mode 0o40755 uid 1000 gid 100 nlink 2 rdev 0 size 3 blksize 4096 blocks 1' +
      ' atime_sec 1 atime_nsec 2 mtime_sec 3 mtime_nsec 4 ctime_sec 5 ctime_nsec 6 btime_sec 7 btime_nsec 8 gen 9 data_version 10',
    'a0000000 19 0100 ff07000000000000 80 00000000 0100000000000000 ed410000 e8030000 64000000 0200000000000000 0000000000000000' +
      ' 0300000000000000 0010000000000000 0100000000000000 0100000000000000 0200000000000000 0300000000000000 0400000000000000' +
      ' 0500000000000000 0600000000000000 0700000000000000 0800000000000000 0900000000000000 0a00000000000000',
  ],
  [
    L,
    'Tsetattr tag 1 fid 1 valid 104 mode 0o0 uid 1 gid 2 size 3 atime_sec 4 atime_nsec 5 mtime_sec 6 mtime_nsec 7',
    '43000000 1a 0100 01000000 68000000 00000000 01000000 02000000 0300000000000000 0400000000000000 0500000000000000 0600000000000000 0700000000000000',
  ],
  [L, 'Rsetattr tag 1', '07000000 1b 0100'],
  [L, 'Txattrwalk tag 1 fid 1 newfid 2 name x', '12000000 1e 0100 01000000 02000000 0100 78'],
  [L, 'Rxattrwalk tag 1 size 5', '0f000000 1f 0100 0500000000000000'],
  [
    L,
    'Txattrcreate tag 1 fid 1 name x attr_size 5 flags 1',
    '1a000000 20 0100 01000000 0100 78 0500000000000000 01000000',
  ],
  [L, 'Rxattrcreate tag 1', '07000000 21 0100'],
  [
    L,
    'Treaddir tag 1 fid 1 offset 9223372036854775807 count 8168',
    '17000000 28 0100 01000000 ffffffffffffff7f e81f0000',
  ],
  [
    L,
    'Rreaddir tag 1 data 0x80000000000100000000000000010000000000000004010061',
    '24000000 29 0100 19000000 80 00000000 0100000000000000 0100000000000000 04 0100 61',
  ],
  [L, 'Tfsync tag 1 fid 1 datasync 1', '0f000000 32 0100 01000000 01000000'],
  [L, 'Rfsync tag 1', '07000000 33 0100'],
  [
    L,
    'Tlock tag 1 fid 1 ltype 1 flags 2 start 3 length 4 proc_id 5 client_id me',
    '28000000 34 0100 01000000 01 02000000 0300000000000000 0400000000000000 05000000 0200 6d65',
  ],
  [L, 'Rlock tag 1 status 0', '08000000 35 0100 00'],
  [
    L,
    'Tgetlock tag 1 fid 1 ltype 1 start 3 length 4 proc_id 5 client_id me',
    '24000000 36 0100 01000000 01 0300000000000000 0400000000000000 05000000 0200 6d65',
  ],
  [
    L,
    'Rgetlock tag 1 ltype 2 start 3 length 4 proc_id 5 client_id me',
    '20000000 37 0100 02 0300000000000000 0400000000000000 05000000 0200 6d65',
  ],
  [L, 'Tlink tag 1 dfid 2 fid 1 name n', '12000000 46 0100 02000000 01000000 0100 6e'],
  [L, 'Rlink tag 1', '07000000 47 0100'],
  [L, 'Tmkdir tag 1 dfid 1 name d mode 0o755 gid 100', '16000000 48 0100 01000000 0100 64 ed010000 64000000'],
  [L, 'Rmkdir tag 1 qid (4 0 0x80)', '14000000 49 0100 80 00000000 0400000000000000'],
  [
    L,
    'Trenameat tag 1 olddirfid 1 oldname a newdirfid 2 newname b',
    '15000000 4a 0100 01000000 0100 61 02000000 0100 62',
  ],
  [L, 'Rrenameat tag 1', '07000000 4b 0100'],
  [L, 'Tunlinkat tag 1 dirfid 1 name a flags 512', '12000000 4c 0100 01000000 0100 61 00020000'],
  [L, 'Runlinkat tag 1', '07000000 4d 0100'],
]

const hex = (s: string) => Uint8Array.from(Buffer.from(s.replaceAll(' ', ''), 'hex'))

t.test('each message has the bytes of the specification in each dialect', async () => {
  for (const [dialects, line, bytes] of golden)
    for (const dialect of dialects) {
      assert.deepEqual(pack(parse(line), dialect), hex(bytes), `${dialect}: ${line}`)
      assert.equal(text(unpack(hex(bytes), dialect)), line, dialect)
    }
})

t.test('every message is tested', async t => {
  const seen = new Set(golden.map(([, line]) => line.split(' ')[0]))
  t.same(
    Object.keys(messages).filter(type => !seen.has(type)),
    [],
  )
})

t.test('a Tfsync of an old client, without datasync, is accepted', async t => {
  t.match(unpack(hex('0b000000 32 0100 01000000'), '9P2000.L'), { type: 'Tfsync', tag: 1, fid: 1, datasync: 0 })
})

function bytesOf<T>(field: Field<T>, value: T, dialect: Dialect): Uint8Array {
  const bytes = new Uint8Array(field.size(value, dialect))
  field.put({ bytes, at: 0 }, value, dialect)
  return bytes
}

t.test('a stat in a directory read has one size, and a dirent has its fields in order', async t => {
  const qid = { type: 0x80, version: 0, path: 4n }
  const numbers = { type: 0, dev: 0, mode: 0x800001ed, atime: 1, mtime: 2, length: 0n }
  const ids = { extension: '', n_uid: 1000, n_gid: 100, n_muid: NONUNAME }
  const stat = { ...numbers, ...ids, qid, name: 'd', uid: 'u', gid: 'g', muid: 'm' }
  const fields =
    '0000 00000000 80 00000000 0400000000000000 ed010080 01000000 02000000 0000000000000000 0100 64 0100 75 0100 67 0100 6d'
  t.same(bytesOf(bareStat, stat, '9P2000'), hex(`3300 ${fields}`))
  t.same(bytesOf(bareStat, stat, '9P2000.u'), hex(`4100 ${fields} 0000 e8030000 64000000 ffffffff`))
  t.same(
    bytesOf(dirent, { qid, offset: 3n, type: 4, name: 'd' }, '9P2000.L'),
    hex('80 00000000 0400000000000000 0300000000000000 04 0100 64'),
  )
})
