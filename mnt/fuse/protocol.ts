/**
 * The kernel's FUSE protocol (linux/fuse.h, 7.31 and later) as tables, like those of 9P in fs/wire/message.ts. A request is
 * the in-header and the fields of its operation's `in` row; a reply is the out-header and the fields of its `out` row.
 * Each is one read or write on /dev/fuse, in the machine's byte order (little-endian everywhere llambo runs).
 */

import { utf8Length } from '../../fs/wire/field.js'

/**
 * The layout of one field. `u64` decodes to a number and encodes a number or a bigint; offsets and ids stay below 2^53,
 * and lock owners, which do not, are never read here. `i64` is the same with a sign. `name` is NUL-terminated, `data`
 * is the rest.
 */
type Kind = 'u16' | 'u32' | 'u64' | 'i64' | 'name' | 'data'
export type Fields = Readonly<Record<string, Kind>>
type Decoded<K> = K extends 'name' ? string : K extends 'data' ? Uint8Array : number
type Encodable<K> = K extends 'u64' | 'i64' ? number | bigint : K extends 'u16' | 'u32' ? number : never
/** The values that a request's fields decode to. */
export type Values<F> = { -readonly [K in keyof F]: Decoded<F[K]> }
/** The values of a reply; fields left out are 0. */
export type Reply<F> = { -readonly [K in keyof F]?: Encodable<F[K]> }

const widths = { u16: 2, u32: 4, u64: 8, i64: 8 } as const

export const inHeader = {
  len: 'u32',
  opcode: 'u32',
  unique: 'u64',
  nodeid: 'u64',
  uid: 'u32',
  gid: 'u32',
  pid: 'u32',
  extlen: 'u16',
  padding: 'u16',
} as const satisfies Fields

/** `error` is 0 or a negated errno. */
export const outHeader = { len: 'u32', error: 'u32', unique: 'u64' } as const satisfies Fields

/** struct fuse_attr: the fields of stat(2). */
export const attr = {
  ino: 'u64',
  size: 'u64',
  blocks: 'u64',
  atime: 'u64',
  mtime: 'u64',
  ctime: 'u64',
  atimensec: 'u32',
  mtimensec: 'u32',
  ctimensec: 'u32',
  mode: 'u32',
  nlink: 'u32',
  uid: 'u32',
  gid: 'u32',
  rdev: 'u32',
  blksize: 'u32',
  attr_flags: 'u32',
} as const satisfies Fields

/** struct fuse_entry_out: a node that the kernel now holds, and how long its name and its attributes are valid. */
export const entry = {
  nodeid: 'u64',
  generation: 'u64',
  entry_valid: 'u64',
  attr_valid: 'u64',
  entry_valid_nsec: 'u32',
  attr_valid_nsec: 'u32',
  ...attr,
} as const satisfies Fields

const attrOut = { attr_valid: 'u64', attr_valid_nsec: 'u32', dummy: 'u32', ...attr } as const satisfies Fields
const openOut = { fh: 'u64', open_flags: 'u32', padding: 'u32' } as const satisfies Fields
const readIn = {
  fh: 'u64',
  offset: 'u64',
  size: 'u32',
  read_flags: 'u32',
  lock_owner: 'u64',
  flags: 'u32',
  padding: 'u32',
} as const satisfies Fields
const openIn = { flags: 'u32', open_flags: 'u32' } as const satisfies Fields
const releaseIn = { fh: 'u64', flags: 'u32', release_flags: 'u32', lock_owner: 'u64' } as const satisfies Fields
const fsyncIn = { fh: 'u64', fsync_flags: 'u32', padding: 'u32' } as const satisfies Fields
const none = {} as const satisfies Fields

/** struct fuse_dirent; the name follows it, padded to eight bytes. */
export const dirent = { ino: 'u64', off: 'u64', namelen: 'u32', type: 'u32' } as const satisfies Fields
/** One of the pairs in a BATCH_FORGET. */
export const forgetOne = { nodeid: 'u64', nlookup: 'u64' } as const satisfies Fields

type Row = { readonly code: number; readonly in: Fields; readonly out: Fields | 'data' | 'never' }

/**
 * Every operation that is not simply answered with ENOSYS. `out`: the fields of its reply, or plain bytes, or never a
 * reply.
 */
export const operations = {
  LOOKUP: { code: 1, in: { name: 'name' }, out: entry },
  FORGET: { code: 2, in: { nlookup: 'u64' }, out: 'never' },
  GETATTR: { code: 3, in: { getattr_flags: 'u32', dummy: 'u32', fh: 'u64' }, out: attrOut },
  SETATTR: {
    code: 4,
    in: {
      valid: 'u32',
      padding: 'u32',
      fh: 'u64',
      size: 'u64',
      lock_owner: 'u64',
      // negative before 1970
      atime: 'i64',
      mtime: 'i64',
      ctime: 'i64',
      atimensec: 'u32',
      mtimensec: 'u32',
      ctimensec: 'u32',
      mode: 'u32',
      unused4: 'u32',
      uid: 'u32',
      gid: 'u32',
      unused5: 'u32',
    },
    out: attrOut,
  },
  READLINK: { code: 5, in: none, out: 'data' },
  SYMLINK: { code: 6, in: { name: 'name', target: 'name' }, out: entry },
  MKNOD: { code: 8, in: { mode: 'u32', rdev: 'u32', umask: 'u32', padding: 'u32', name: 'name' }, out: entry },
  MKDIR: { code: 9, in: { mode: 'u32', umask: 'u32', name: 'name' }, out: entry },
  UNLINK: { code: 10, in: { name: 'name' }, out: none },
  RMDIR: { code: 11, in: { name: 'name' }, out: none },
  RENAME: { code: 12, in: { newdir: 'u64', oldname: 'name', newname: 'name' }, out: none },
  LINK: { code: 13, in: { oldnodeid: 'u64', name: 'name' }, out: entry },
  OPEN: { code: 14, in: openIn, out: openOut },
  READ: { code: 15, in: readIn, out: 'data' },
  WRITE: {
    code: 16,
    in: {
      fh: 'u64',
      offset: 'u64',
      size: 'u32',
      write_flags: 'u32',
      lock_owner: 'u64',
      flags: 'u32',
      padding: 'u32',
      data: 'data',
    },
    out: { size: 'u32', padding: 'u32' },
  },
  STATFS: {
    code: 17,
    in: none,
    out: {
      blocks: 'u64',
      bfree: 'u64',
      bavail: 'u64',
      files: 'u64',
      ffree: 'u64',
      bsize: 'u32',
      namelen: 'u32',
      frsize: 'u32',
      padding: 'u32',
      spare0: 'u64',
      spare1: 'u64',
      spare2: 'u64',
    },
  },
  RELEASE: { code: 18, in: releaseIn, out: none },
  FSYNC: { code: 20, in: fsyncIn, out: none },
  FLUSH: { code: 25, in: { fh: 'u64', unused: 'u32', padding: 'u32', lock_owner: 'u64' }, out: none },
  INIT: {
    code: 26,
    in: { major: 'u32', minor: 'u32', max_readahead: 'u32', flags: 'u32', flags2: 'u32' },
    out: {
      major: 'u32',
      minor: 'u32',
      max_readahead: 'u32',
      flags: 'u32',
      max_background: 'u16',
      congestion_threshold: 'u16',
      max_write: 'u32',
      time_gran: 'u32',
      max_pages: 'u16',
      map_alignment: 'u16',
      flags2: 'u32',
      unused0: 'u32',
      unused1: 'u64',
      unused2: 'u64',
      unused3: 'u64',
    },
  },
  OPENDIR: { code: 27, in: openIn, out: openOut },
  READDIR: { code: 28, in: readIn, out: 'data' },
  RELEASEDIR: { code: 29, in: releaseIn, out: none },
  FSYNCDIR: { code: 30, in: fsyncIn, out: none },
  ACCESS: { code: 34, in: { mask: 'u32', padding: 'u32' }, out: none },
  CREATE: {
    code: 35,
    in: { flags: 'u32', mode: 'u32', umask: 'u32', open_flags: 'u32', name: 'name' },
    out: { ...entry, ...openOut },
  },
  INTERRUPT: { code: 36, in: { unique: 'u64' }, out: 'never' },
  DESTROY: { code: 38, in: none, out: none },
  BATCH_FORGET: { code: 42, in: { count: 'u32', dummy: 'u32', data: 'data' }, out: 'never' },
  READDIRPLUS: { code: 44, in: readIn, out: 'data' },
  RENAME2: {
    code: 45,
    in: { newdir: 'u64', flags: 'u32', padding: 'u32', oldname: 'name', newname: 'name' },
    out: none,
  },
} as const satisfies Record<string, Row>

type Table = typeof operations
export type Operation = keyof Table
export type Header = Values<typeof inHeader>
/** One decoded request: its header and its operation's fields. */
export type Request<K extends Operation = Operation> = {
  [P in K]: { op: P; header: Header; in: Values<Table[P]['in']> }
}[K]
/** The answer of an operation whose reply is a header alone. */
type Nothing = ReturnType<() => void>
/** The type of an operation's answer. */
export type Answer<K extends Operation> = Table[K]['out'] extends 'data'
  ? Uint8Array
  : Table[K]['out'] extends 'never'
    ? Nothing
    : keyof Table[K]['out'] extends never
      ? Nothing
      : Reply<Table[K]['out']>

const rows = operations as Record<Operation, Row>
const byCode: (Operation | undefined)[] = []
for (const name in operations) byCode[rows[name as Operation].code] = name as Operation

/** Bytes of a struct, not counting names and data. */
export function sizeOf(fields: Fields): number {
  let n = 0
  for (const name in fields) {
    const kind = fields[name]!
    if (kind !== 'name' && kind !== 'data') n += widths[kind]
  }
  return n
}

const text = new TextDecoder()
const HIGH = 0x1_0000_0000
/**
 * Names and kinds of each layout as arrays, made once: layouts have tens of fields and are read thousands of times a
 * second.
 */
const layouts = new Map<Fields, [string, Kind][]>()
function layout(fields: Fields): [string, Kind][] {
  let rows = layouts.get(fields)
  if (!rows) layouts.set(fields, (rows = Object.entries(fields)))
  return rows
}

/**
 * Reads a struct at `at`. `data` is a view of `bytes`: copy it to keep it. If the bytes end early, the remaining fields
 * are 0 or empty, because older kernels send shorter structs.
 */
export function decode<F extends Fields>(fields: F, bytes: Uint8Array, at = 0): Values<F> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const out: Record<string, number | string | Uint8Array> = {}
  for (const [name, kind] of layout(fields)) {
    if (kind === 'data') {
      out[name] = bytes.subarray(at)
      at = bytes.length
    } else if (kind === 'name') {
      const nul = bytes.indexOf(0, at)
      const end = nul < 0 ? bytes.length : nul
      out[name] = text.decode(bytes.subarray(at, end))
      at = end + 1
    } else {
      const width = widths[kind]
      if (at + width > bytes.length) out[name] = 0
      else if (kind === 'u16') out[name] = view.getUint16(at, true)
      else if (kind === 'u32') out[name] = view.getUint32(at, true)
      else {
        const high = kind === 'i64' ? view.getInt32(at + 4, true) : view.getUint32(at + 4, true)
        out[name] = view.getUint32(at, true) + high * HIGH
      }
      at += width
    }
  }
  return out as Values<F>
}

/** Writes a struct at `at` and returns the offset after it. Fields that `values` lacks are 0. */
export function encode<F extends Fields>(fields: F, values: Reply<F>, view: DataView, at = 0): number {
  for (const [name, kind] of layout(fields)) {
    const value = (values as Record<string, number | bigint | undefined>)[name] ?? 0
    if (kind === 'u64' || kind === 'i64') {
      if (typeof value === 'bigint') view.setBigUint64(at, value, true)
      else {
        view.setUint32(at, value >>> 0, true)
        view.setUint32(at + 4, Math.floor(value / HIGH), true)
      }
      at += 8
    } else if (kind === 'u32') {
      view.setUint32(at, Number(value), true)
      at += 4
    } else if (kind === 'u16') {
      view.setUint16(at, Number(value), true)
      at += 2
    }
  }
  return at
}

export const IN_HEADER = sizeOf(inHeader)
export const OUT_HEADER = sizeOf(outHeader)

/**
 * Decodes one request. `op` is undefined if `operations` has no row for it, or if the bytes are shorter than a header.
 */
export function decodeRequest(bytes: Uint8Array): { op: undefined; header: Header } | Request {
  const header = decode(inHeader, bytes)
  const op = bytes.length < IN_HEADER ? undefined : byCode[header.opcode]
  if (!op) return { op, header }
  return { op, header, in: decode(rows[op].in, bytes.subarray(0, header.len), IN_HEADER) } as unknown as Request
}

/** Whether the kernel waits for an answer to this operation. */
export function answered(op: Operation): boolean {
  return rows[op].out !== 'never'
}

/**
 * Writes a whole reply into `view`, which must have at least REPLY_ROOM bytes, and returns its length. Not for replies
 * of plain bytes.
 */
export function encodeReply(op: Operation, unique: number, values: Reply<Fields>, view: DataView): number {
  const out = rows[op].out
  const len = typeof out === 'string' ? OUT_HEADER : encode(out, values, view, OUT_HEADER)
  encode(outHeader, { len, unique }, view)
  return len
}

/**
 * Writes an out-header alone: of a failure with its errno or, with errno 0, of a reply of `length` plain bytes. Returns
 * its length.
 */
export function encodeHeader(unique: number, errno: number, length: number, view: DataView): number {
  encode(outHeader, { len: OUT_HEADER + length, error: -errno, unique }, view)
  return OUT_HEADER
}

/** Bytes enough for any reply that is not plain bytes, with its header; CREATE's is the longest. */
export const REPLY_ROOM = 256

const align = (n: number) => (n + 7) & ~7
const utf8 = new TextEncoder()

/** Bytes one entry of a READDIR (or READDIRPLUS) reply takes. */
export function direntSize(name: string, plus: boolean): number {
  return align((plus ? sizeOf(entry) : 0) + sizeOf(dirent) + utf8Length(name))
}

/**
 * Encodes one entry of a READDIR reply or, with `node`, of a READDIRPLUS reply. `off` is the offset of the next entry.
 */
export function encodeDirent(
  e: { ino: bigint; off: number; type: number; name: string },
  node?: Reply<typeof entry>,
): Uint8Array {
  const name = utf8.encode(e.name)
  const head = (node ? sizeOf(entry) : 0) + sizeOf(dirent)
  const bytes = new Uint8Array(align(head + name.length))
  const view = new DataView(bytes.buffer)
  const at = node ? encode(entry, node, view) : 0
  encode(dirent, { ...e, namelen: name.length } as Reply<typeof dirent>, view, at)
  bytes.set(name, head)
  return bytes
}

export const VERSION = { major: 7, minor: 39, oldest: 31 } as const
/** The number of the root's node, which the kernel uses without a LOOKUP. */
export const ROOT_ID = 1
/** A bit of a READ's `flags`: the program does not want to wait (open(2)). */
export const O_NONBLOCK = 0o4000

/** INIT flags. */
export const ASYNC_READ = 1 << 0
export const ATOMIC_O_TRUNC = 1 << 3
export const BIG_WRITES = 1 << 5
export const DO_READDIRPLUS = 1 << 13
export const READDIRPLUS_AUTO = 1 << 14
export const PARALLEL_DIROPS = 1 << 18
export const MAX_PAGES = 1 << 22
export const INIT_EXT = 1 << 30
/** Bits of INIT's flags2, which count only with INIT_EXT (since kernel 5.17). */
export const DIRECT_IO_ALLOW_MMAP = 1 << (36 - 32)
export const PAGE = 4096
/** Bytes that a read's buffer must have beyond the payload of a WRITE: both headers, rounded up to a page. */
export const READ_ROOM = PAGE
/** Flags in an answer to OPEN. */
export const FOPEN_DIRECT_IO = 1 << 0
export const FOPEN_NOFLUSH = 1 << 5
export const FOPEN_PARALLEL_DIRECT_WRITES = 1 << 6
/** A bit of GETATTR's flags: its `fh` is valid. */
export const GETATTR_FH = 1 << 0
/** Bits of SETATTR's `valid`. */
export const FATTR_MODE = 1 << 0
export const FATTR_UID = 1 << 1
export const FATTR_GID = 1 << 2
export const FATTR_SIZE = 1 << 3
export const FATTR_ATIME = 1 << 4
export const FATTR_MTIME = 1 << 5
export const FATTR_FH = 1 << 6
export const FATTR_ATIME_NOW = 1 << 7
export const FATTR_MTIME_NOW = 1 << 8
/** Flags of a RENAME2. */
export const RENAME_NOREPLACE = 1 << 0
