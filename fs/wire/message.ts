/**
 * The messages of 9P2000, 9P2000.u and 9P2000.L as one table, from which everything else is derived: `size`, `pack` and
 * `unpack` here; `text` and `parse` in text.ts; the property tests' generators in test/fs. On the wire a message is
 * `size[4] type[1] tag[2]` and the fields of its row in order, little-endian (Plan 9 manual, intro(5)).
 */
import { fail } from '../base/errors.js'
import { MAX_NAME } from '../base/limits.js'
import {
  type AnyField,
  array,
  type Column,
  type Cursor,
  columns,
  data,
  type Field,
  get32,
  get64,
  getAll,
  only,
  perDialect,
  put32,
  put64,
  putAll,
  qid,
  short,
  sizeOf,
  stat,
  str,
  u8,
  u16,
  u32,
  u64,
  utf8Length,
} from './field.js'
import { type Dialect, NONUNAME, NOTAG } from './protocol.js'

type Row = { readonly type: number; readonly fields: Record<string, AnyField>; readonly in?: readonly Dialect[] }

// Arrays are unpacked up to 64 entries: the server refuses more than MAXWELEM itself, with an error that the client can
// read.
const wname = array(str, 64)
const wqid = array(qid, 64)
const base = ['9P2000', '9P2000.u'] as const
const u = ['9P2000.u'] as const
const uL = ['9P2000.u', '9P2000.L'] as const
const L = ['9P2000.L'] as const
const optional = <T>(field: Field<T>, absent: T): Field<T> => ({ ...field, optional: true, absent })

/**
 * Every message: its number, its fields in wire order, and the dialects that have it if not all do. The specifications
 * also call a field of three messages `type`; here those are `fstype` and `ltype`, because `type` is the message's own.
 */
export const messages = {
  // size[4] Tversion tag[2] msize[4] version[s]
  Tversion: { type: 100, fields: { msize: u32, version: str } },
  Rversion: { type: 101, fields: { msize: u32, version: str } },
  // size[4] Tauth tag[2] afid[4] uname[s] aname[s] (n_uname[4])
  Tauth: { type: 102, fields: { afid: u32, uname: str, aname: str, n_uname: only(uL, u32, NONUNAME) } },
  Rauth: { type: 103, fields: { aqid: qid } },
  // size[4] Tattach tag[2] fid[4] afid[4] uname[s] aname[s] (n_uname[4])
  Tattach: { type: 104, fields: { fid: u32, afid: u32, uname: str, aname: str, n_uname: only(uL, u32, NONUNAME) } },
  Rattach: { type: 105, fields: { qid } },
  // size[4] Rerror tag[2] ename[s] (errno[4]); 106 is illegal
  Rerror: { type: 107, fields: { ename: str, errno: only(u, u32, 0) }, in: base },
  Tflush: { type: 108, fields: { oldtag: u16 } },
  Rflush: { type: 109, fields: {} },
  // size[4] Twalk tag[2] fid[4] newfid[4] nwname[2] nwname*(wname[s])
  Twalk: { type: 110, fields: { fid: u32, newfid: u32, wname } },
  Rwalk: { type: 111, fields: { wqid } },
  Topen: { type: 112, fields: { fid: u32, mode: u8 }, in: base },
  Ropen: { type: 113, fields: { qid, iounit: u32 }, in: base },
  // size[4] Tcreate tag[2] fid[4] name[s] perm[4] mode[1] (extension[s])
  Tcreate: { type: 114, fields: { fid: u32, name: str, perm: u32, mode: u8, extension: only(u, str, '') }, in: base },
  Rcreate: { type: 115, fields: { qid, iounit: u32 }, in: base },
  Tread: { type: 116, fields: { fid: u32, offset: u64, count: u32 } },
  Rread: { type: 117, fields: { data } },
  Twrite: { type: 118, fields: { fid: u32, offset: u64, data } },
  Rwrite: { type: 119, fields: { count: u32 } },
  Tclunk: { type: 120, fields: { fid: u32 } },
  Rclunk: { type: 121, fields: {} },
  Tremove: { type: 122, fields: { fid: u32 } },
  Rremove: { type: 123, fields: {} },
  Tstat: { type: 124, fields: { fid: u32 }, in: base },
  Rstat: { type: 125, fields: { stat }, in: base },
  Twstat: { type: 126, fields: { fid: u32, stat }, in: base },
  Rwstat: { type: 127, fields: {}, in: base },

  // 9P2000.L, as diod specifies it
  Rlerror: { type: 7, fields: { ecode: u32 }, in: L },
  Tstatfs: { type: 8, fields: { fid: u32 }, in: L },
  Rstatfs: {
    type: 9,
    fields: {
      fstype: u32,
      bsize: u32,
      blocks: u64,
      bfree: u64,
      bavail: u64,
      files: u64,
      ffree: u64,
      fsid: u64,
      namelen: u32,
    },
    in: L,
  },
  Tlopen: { type: 12, fields: { fid: u32, flags: u32 }, in: L },
  Rlopen: { type: 13, fields: { qid, iounit: u32 }, in: L },
  Tlcreate: { type: 14, fields: { fid: u32, name: str, flags: u32, mode: u32, gid: u32 }, in: L },
  Rlcreate: { type: 15, fields: { qid, iounit: u32 }, in: L },
  Tsymlink: { type: 16, fields: { dfid: u32, name: str, target: str, gid: u32 }, in: L },
  Rsymlink: { type: 17, fields: { qid }, in: L },
  Tmknod: { type: 18, fields: { dfid: u32, name: str, mode: u32, major: u32, minor: u32, gid: u32 }, in: L },
  Rmknod: { type: 19, fields: { qid }, in: L },
  Trename: { type: 20, fields: { fid: u32, dfid: u32, name: str }, in: L },
  Rrename: { type: 21, fields: {}, in: L },
  Treadlink: { type: 22, fields: { fid: u32 }, in: L },
  Rreadlink: { type: 23, fields: { target: str }, in: L },
  Tgetattr: { type: 24, fields: { fid: u32, request_mask: u64 }, in: L },
  Rgetattr: {
    type: 25,
    fields: {
      valid: u64,
      qid,
      mode: u32,
      uid: u32,
      gid: u32,
      nlink: u64,
      rdev: u64,
      size: u64,
      blksize: u64,
      blocks: u64,
      atime_sec: u64,
      atime_nsec: u64,
      mtime_sec: u64,
      mtime_nsec: u64,
      ctime_sec: u64,
      ctime_nsec: u64,
      btime_sec: u64,
      btime_nsec: u64,
      gen: u64,
      data_version: u64,
    },
    in: L,
  },
  Tsetattr: {
    type: 26,
    fields: {
      fid: u32,
      valid: u32,
      mode: u32,
      uid: u32,
      gid: u32,
      size: u64,
      atime_sec: u64,
      atime_nsec: u64,
      mtime_sec: u64,
      mtime_nsec: u64,
    },
    in: L,
  },
  Rsetattr: { type: 27, fields: {}, in: L },
  Txattrwalk: { type: 30, fields: { fid: u32, newfid: u32, name: str }, in: L },
  Rxattrwalk: { type: 31, fields: { size: u64 }, in: L },
  Txattrcreate: { type: 32, fields: { fid: u32, name: str, attr_size: u64, flags: u32 }, in: L },
  Rxattrcreate: { type: 33, fields: {}, in: L },
  Treaddir: { type: 40, fields: { fid: u32, offset: u64, count: u32 }, in: L },
  Rreaddir: { type: 41, fields: { data }, in: L },
  // size[4] Tfsync tag[2] fid[4] datasync[4]; old clients omit datasync
  Tfsync: { type: 50, fields: { fid: u32, datasync: optional(u32, 0) }, in: L },
  Rfsync: { type: 51, fields: {}, in: L },
  Tlock: {
    type: 52,
    fields: { fid: u32, ltype: u8, flags: u32, start: u64, length: u64, proc_id: u32, client_id: str },
    in: L,
  },
  Rlock: { type: 53, fields: { status: u8 }, in: L },
  Tgetlock: { type: 54, fields: { fid: u32, ltype: u8, start: u64, length: u64, proc_id: u32, client_id: str }, in: L },
  Rgetlock: { type: 55, fields: { ltype: u8, start: u64, length: u64, proc_id: u32, client_id: str }, in: L },
  Tlink: { type: 70, fields: { dfid: u32, fid: u32, name: str }, in: L },
  Rlink: { type: 71, fields: {}, in: L },
  Tmkdir: { type: 72, fields: { dfid: u32, name: str, mode: u32, gid: u32 }, in: L },
  Rmkdir: { type: 73, fields: { qid }, in: L },
  Trenameat: { type: 74, fields: { olddirfid: u32, oldname: str, newdirfid: u32, newname: str }, in: L },
  Rrenameat: { type: 75, fields: {}, in: L },
  Tunlinkat: { type: 76, fields: { dirfid: u32, name: str, flags: u32 }, in: L },
  Runlinkat: { type: 77, fields: {}, in: L },
} as const satisfies Record<string, Row>

type Table = typeof messages
export type MessageType = keyof Table
type ValueOf<F> = F extends Field<infer T> ? T : never
/** Fields that not every dialect carries may be omitted when a message is created. */
type OptionalKeys<F> = {
  [K in keyof F]: F[K] extends { only: readonly Dialect[] } ? K : never
}[keyof F]
type Body<F> = { -readonly [K in Exclude<keyof F, OptionalKeys<F>>]: ValueOf<F[K]> } & {
  -readonly [K in OptionalKeys<F>]?: ValueOf<F[K]>
}
/** The message of one type, e.g. `Msg<'Twalk'>`: `{type: 'Twalk', tag, fid, newfid, wname}`. */
export type Msg<K extends MessageType> = { type: K; tag: number } & Body<Table[K]['fields']>
/** Any message: a union discriminated by `type`. */
export type Message = { [K in MessageType]: Msg<K> }[MessageType]
/** Any request. */
export type TMessage = Extract<Message, { type: `T${string}` }>
/** Any reply. */
export type RMessage = Extract<Message, { type: `R${string}` }>
/** The reply type of a request type: `ReplyOf<'Twalk'>` is `Msg<'Rwalk'>`. */
export type ReplyOf<T extends TMessage['type']> = T extends `T${infer Rest}`
  ? `R${Rest}` extends MessageType
    ? Msg<`R${Rest}`>
    : never
  : never

const rows = messages as Record<MessageType, Row>

/** The layout of a message in one dialect. */
type Layout = { readonly type: MessageType; readonly number: number; readonly columns: readonly Column[] }
type Layouts = { readonly byType: ReadonlyMap<string, Layout>; readonly byNumber: readonly (Layout | undefined)[] }

const layouts = perDialect((dialect): Layouts => {
  const byType = new Map<string, Layout>()
  const byNumber: Layout[] = []
  for (const [name, { type: number, fields }] of Object.entries(rows)) {
    const type = name as MessageType
    const layout = { type, number, columns: columns(fields, dialect) }
    byType.set(type, layout)
    if (inDialect(type, dialect)) byNumber[number] = layout
  }
  return { byType, byNumber }
})

const replies = new Map<string, RMessage['type']>()
for (const name in messages) if (name[0] === 'T') replies.set(name, `R${name.slice(1)}` as RMessage['type'])

/** The type of the reply to a type of request. */
export function replyTo(type: TMessage['type']): RMessage['type'] {
  return replies.get(type)!
}

/** Whether a dialect has this message. */
export function inDialect(type: MessageType, dialect: Dialect): boolean {
  const having = rows[type].in
  return !having || having.includes(dialect)
}

const layoutOf = (m: Message, dialect: Dialect): Layout => layouts[dialect].byType.get(m.type)!

/** The length of the whole message in bytes, including its size[4]. */
export function size(m: Message, dialect: Dialect): number {
  return 7 + sizeOf(layoutOf(m, dialect).columns, m, dialect)
}

/** A payload of this size or more is sent as a separate buffer after the header instead of being copied. */
const COPY_BELOW = 4096

/** Small messages are cut from buffers of this size: one allocation for hundreds of them. */
const SLAB = 16 * 1024
let slab = new Uint8Array(SLAB)
let used = 0

/** Allocates a message of `total` bytes, of which `length` are in this buffer, and fills in its header. */
function begin(number: number, tag: number, total: number, length = total): Uint8Array {
  let bytes: Uint8Array
  if (length > COPY_BELOW) bytes = new Uint8Array(length)
  else {
    if (used + length > SLAB) {
      slab = new Uint8Array(SLAB)
      used = 0
    }
    bytes = slab.subarray(used, used + length)
    used += length
  }
  put32(bytes, 0, total)
  bytes[4] = number
  bytes[5] = tag
  bytes[6] = tag >>> 8
  return bytes
}

const { Tread, Rread, Twrite, Rwrite, Rreaddir } = messages

/**
 * Packs a message into one buffer, or into header and payload as two that must be written together, so that a large
 * payload is not copied. The buffers are not reused or changed afterwards.
 */
export function packParts(m: Message, dialect: Dialect, tag = m.tag): Uint8Array[] {
  // the messages that carry the bulk of all traffic bypass the table
  switch (m.type) {
    case 'Tread': {
      const bytes = begin(Tread.type, tag, 23)
      put32(bytes, 7, m.fid)
      put64(bytes, 11, m.offset)
      put32(bytes, 19, m.count)
      return [bytes]
    }
    case 'Rwrite': {
      const bytes = begin(Rwrite.type, tag, 11)
      put32(bytes, 7, m.count)
      return [bytes]
    }
    case 'Rread':
      return withPayload(begin(Rread.type, tag, 11 + m.data.length, 11 + copied(m.data)), 11, m.data)
    case 'Rreaddir':
      return withPayload(begin(Rreaddir.type, tag, 11 + m.data.length, 11 + copied(m.data)), 11, m.data)
    case 'Twrite': {
      const bytes = begin(Twrite.type, tag, 23 + m.data.length, 23 + copied(m.data))
      put32(bytes, 7, m.fid)
      put64(bytes, 11, m.offset)
      return withPayload(bytes, 23, m.data)
    }
    default:
      return [pack(m, dialect, tag)]
  }
}

const copied = (payload: Uint8Array): number => (payload.length < COPY_BELOW ? payload.length : 0)

/** Completes a message with its payload's count[4] and the payload, in the same buffer or as a second one. */
function withPayload(bytes: Uint8Array, at: number, payload: Uint8Array): Uint8Array[] {
  put32(bytes, at - 4, payload.length)
  if (bytes.length === at && payload.length > 0) return [bytes, payload]
  bytes.set(payload, at)
  return [bytes]
}

/** Packs a message into one buffer. The size is computed first, and the cursor must stop at the end. */
export function pack(m: Message, dialect: Dialect, tag = m.tag): Uint8Array {
  const { number, columns } = layoutOf(m, dialect)
  const total = 7 + sizeOf(columns, m, dialect)
  const bytes = begin(number, tag, total)
  const c: Cursor = { bytes, at: 7 }
  putAll(c, columns, m, dialect)
  if (c.at !== total) throw new Error(`packing ${m.type} wrote ${c.at} of ${total} bytes`)
  return bytes
}

/**
 * Unpacks one whole message, as the framer passes it on. Payloads are views on `bytes`.
 * @throws FsError `bad message` for an unknown type, one that the dialect does not have, fields that are too short, or
 *   bytes left over
 */
export function unpack(bytes: Uint8Array, dialect: Dialect): Message {
  const { length } = bytes
  if (length < 7) throw short()
  if (get32(bytes, 0) !== length) throw fail('badMessage', 'the size field differs from the length of the message')
  const number = bytes[4]!
  const tag = bytes[5]! | (bytes[6]! << 8)
  // as in packParts; a message whose length is wrong goes through the table, which reports the error
  if (number === Tread.type && length === 23)
    return { type: 'Tread', tag, fid: get32(bytes, 7), offset: get64(bytes, 11), count: get32(bytes, 19) }
  if (number === Rread.type && length >= 11 && get32(bytes, 7) === length - 11)
    return { type: 'Rread', tag, data: bytes.subarray(11) }
  if (number === Twrite.type && length >= 23 && get32(bytes, 19) === length - 23)
    return { type: 'Twrite', tag, fid: get32(bytes, 7), offset: get64(bytes, 11), data: bytes.subarray(23) }
  if (number === Rwrite.type && length === 11) return { type: 'Rwrite', tag, count: get32(bytes, 7) }

  const layout = layouts[dialect].byNumber[number]
  if (!layout) throw fail('badMessage', `type ${number} is not in ${dialect}`)
  const m: Record<string, any> = { type: layout.type, tag }
  const c: Cursor = { bytes, at: 7 }
  getAll(c, layout.columns, m, dialect)
  if (c.at !== length) throw fail('badMessage', `${layout.type} has ${length - c.at} bytes left over`)
  return m as Message
}

/** The tag of a message that may not unpack, so that an error can be answered. */
export function tagOf(bytes: Uint8Array): number {
  return bytes.length < 7 ? NOTAG : bytes[5]! | (bytes[6]! << 8)
}

/**
 * Checks that a name can be one element of a path: not empty, without `/`, NUL and control characters, at most 255
 * bytes.
 * @throws FsError `bad file name`
 */
export function checkName(name: string): void {
  if (name === '' || /[/\p{Cc}]/u.test(name) || utf8Length(name) > MAX_NAME) throw fail('badName', JSON.stringify(name))
}
