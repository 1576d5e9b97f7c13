/** The tables of the FUSE protocol: sizes, requests, replies and directory entries. */
import t from 'tap'
import {
  decode,
  decodeRequest,
  direntSize,
  encode,
  encodeDirent,
  encodeHeader,
  encodeReply,
  IN_HEADER,
  inHeader,
  OUT_HEADER,
  operations,
  REPLY_ROOM,
  sizeOf,
} from '../../mnt/fuse/protocol.js'

t.test('structs have the sizes of linux/fuse.h', async t => {
  const sizes = {
    LOOKUP: [0, 128],
    GETATTR: [16, 104],
    SETATTR: [88, 104],
    MKDIR: [8, 128],
    RENAME: [8, 0],
    RENAME2: [16, 0],
    OPEN: [8, 16],
    READ: [40, undefined],
    WRITE: [40, 8],
    STATFS: [0, 80],
    RELEASE: [24, 0],
    FSYNC: [16, 0],
    FLUSH: [24, 0],
    INIT: [20, 64],
    ACCESS: [8, 0],
    CREATE: [16, 144],
    INTERRUPT: [8, undefined],
    BATCH_FORGET: [8, undefined],
  } as const
  t.equal(IN_HEADER, 40)
  t.equal(OUT_HEADER, 16)
  for (const [op, [input, output]] of Object.entries(sizes)) {
    const row = operations[op as keyof typeof sizes]
    t.equal(sizeOf(row.in), input, `${op} in`)
    if (typeof row.out !== 'string') t.equal(sizeOf(row.out), output, `${op} out`)
    t.ok(OUT_HEADER + (output ?? 0) <= REPLY_ROOM, `${op} fits`)
  }
})

/** Encodes a request as the kernel does. */
function request(code: number, body: Uint8Array, header: Record<string, number> = {}): Uint8Array {
  const bytes = new Uint8Array(IN_HEADER + body.length)
  encode(inHeader, { len: bytes.length, opcode: code, unique: 10, nodeid: 1, ...header }, new DataView(bytes.buffer))
  bytes.set(body, IN_HEADER)
  return bytes
}

t.test('a request is decoded with its header', async t => {
  const bytes = request(operations.LOOKUP.code, new TextEncoder().encode('dätä\0'), { uid: 7, unique: 2 ** 40 + 2 })
  const r = decodeRequest(bytes)
  t.match(r, { op: 'LOOKUP', header: { unique: 2 ** 40 + 2, uid: 7, nodeid: 1 }, in: { name: 'dätä' } })
})

t.test('two names in one request are decoded separately', async t => {
  const body = Buffer.concat([Buffer.alloc(8, 0), Buffer.from('old\0new\0')])
  t.match(decodeRequest(request(operations.RENAME.code, body)), { in: { newdir: 0, oldname: 'old', newname: 'new' } })
})

t.test('a write is decoded with its offset and payload, without bytes after the message', async t => {
  const body = Buffer.alloc(40 + 3 + 5)
  body.writeBigUInt64LE(9n, 0)
  body.writeBigUInt64LE(2n ** 33n, 8)
  body.writeUInt32LE(3, 16)
  body.write('abcTRAIL', 40)
  const bytes = request(operations.WRITE.code, body)
  new DataView(bytes.buffer).setUint32(0, IN_HEADER + 43, true)
  const r = decodeRequest(bytes)
  t.match(r, { op: 'WRITE', in: { fh: 9, offset: 2 ** 33, size: 3 } })
  t.equal(r.op === 'WRITE' && Buffer.from(r.in.data).toString(), 'abc')
})

t.test('a truncated request decodes to zeros and does not throw', async t => {
  for (const { code } of Object.values(operations))
    for (let n = 0; n < 48; n += 3) t.doesNotThrow(() => decodeRequest(request(code, new Uint8Array(n).fill(65))))
})

t.test('an operation that has no row decodes with an undefined op', async t => {
  t.match(decodeRequest(request(4711, new Uint8Array(8))), { op: undefined, header: { opcode: 4711, unique: 10 } })
})

t.test('a failure is a header with the negated errno', async t => {
  const view = new DataView(new ArrayBuffer(REPLY_ROOM))
  t.equal(encodeHeader(10, 5, 0, view), 16)
  t.equal(view.getUint32(0, true), 16)
  t.equal(view.getInt32(4, true), -5)
  t.equal(view.getBigUint64(8, true), 10n)
})

t.test('a reply has its fields in place, and zeros for fields that are left out', async t => {
  const view = new DataView(new ArrayBuffer(REPLY_ROOM))
  new Uint8Array(view.buffer).fill(0xff)
  const length = encodeReply('OPEN', 2 ** 40, { fh: 3, open_flags: 1 }, view)
  t.equal(length, 32)
  t.same(
    [...new Uint8Array(view.buffer, 0, length)],
    [32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0],
  )
  t.equal(encodeReply('RELEASE', 1, {}, view), 16)
})

t.test('64-bit numbers keep their high half', async t => {
  const view = new DataView(new ArrayBuffer(REPLY_ROOM))
  encodeReply('GETATTR', 1, { ino: 2n ** 63n + 5n, size: 2 ** 45 }, view)
  t.match(decode({ ino: 'u64', size: 'u64' }, new Uint8Array(view.buffer), OUT_HEADER + 16), { size: 2 ** 45 })
  t.equal(view.getBigUint64(OUT_HEADER + 16, true), 2n ** 63n + 5n)
})

t.test('directory entries are padded to eight bytes', async t => {
  const one = encodeDirent({ ino: 5n, off: 3, type: 8, name: 'ä' })
  t.equal(one.length, 32)
  t.equal(one.length, direntSize('ä', false))
  t.match(decode({ ino: 'u64', off: 'u64', namelen: 'u32', type: 'u32' }, one), { ino: 5, off: 3, namelen: 2, type: 8 })
  const plus = encodeDirent({ ino: 5n, off: 3, type: 4, name: 'x' }, { nodeid: 9, ino: 5n, mode: 0o40755 })
  t.equal(plus.length, 128 + 32)
  t.equal(plus.length, direntSize('x', true))
  t.equal(new DataView(plus.buffer).getUint32(0, true), 9)
})
