/**
 * The field types of messages, little-endian (Plan 9 manual, intro(5)): how to compute the size of each, and how to
 * write and read it.
 */
import { fail } from '../base/errors.js'
import { type Dialect, type Dirent, NONUNAME, type Qid, type Stat } from './protocol.js'
/** A position in a buffer. */
export interface Cursor {
  bytes: Uint8Array
  at: number
}

/** One type of field. text.ts and the tests' generators look it up by its `name`. */
export interface Field<T> {
  readonly name: string
  size(value: T, dialect: Dialect): number
  put(c: Cursor, value: T, dialect: Dialect): void
  get(c: Cursor, dialect: Dialect): T
  /** The value of the field when the message does not carry it. */
  readonly absent?: T
  /** The dialects that carry the field, if not all do. */
  readonly only?: readonly Dialect[]
  /** May be missing at the end of a message (old clients omit Tfsync's last field). */
  readonly optional?: boolean
}

/** The error for a message that ends before its fields do. */
export const short = () => fail('badMessage', 'too short')

function need(c: Cursor, n: number): number {
  const at = c.at
  if (at + n > c.bytes.length) throw short()
  c.at = at + n
  return at
}

// Numbers are encoded by hand: a DataView for each message costs more than all its fields.

export function put32(b: Uint8Array, at: number, v: number): void {
  b[at] = v
  b[at + 1] = v >>> 8
  b[at + 2] = v >>> 16
  b[at + 3] = v >>> 24
}

export function get32(b: Uint8Array, at: number): number {
  return (b[at]! | (b[at + 1]! << 8) | (b[at + 2]! << 16) | (b[at + 3]! << 24)) >>> 0
}

export function put64(b: Uint8Array, at: number, v: bigint): void {
  put32(b, at, Number(BigInt.asUintN(32, v)))
  put32(b, at + 4, v >= 0n && v <= 0xffffffffn ? 0 : Number(BigInt.asUintN(32, v >> 32n)))
}

export function get64(b: Uint8Array, at: number): bigint {
  const low = get32(b, at)
  const high = get32(b, at + 4)
  return high === 0 ? BigInt(low) : (BigInt(high) << 32n) | BigInt(low)
}

export const u8: Field<number> = {
  name: 'u8',
  size: () => 1,
  put(c, v) {
    c.bytes[need(c, 1)] = v
  },
  get: c => c.bytes[need(c, 1)]!,
}
export const u16: Field<number> = {
  name: 'u16',
  size: () => 2,
  put(c, v) {
    const at = need(c, 2)
    c.bytes[at] = v
    c.bytes[at + 1] = v >>> 8
  },
  get(c) {
    const at = need(c, 2)
    return c.bytes[at]! | (c.bytes[at + 1]! << 8)
  },
}
export const u32: Field<number> = {
  name: 'u32',
  size: () => 4,
  put: (c, v) => put32(c.bytes, need(c, 4), v),
  get: c => get32(c.bytes, need(c, 4)),
}
export const u64: Field<bigint> = {
  name: 'u64',
  size: () => 8,
  put: (c, v) => put64(c.bytes, need(c, 8), v),
  get: c => get64(c.bytes, need(c, 8)),
}

const encoder = new TextEncoder()
/** The longest string, in characters, that is encoded and decoded by hand. */
const SHORT = 32
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The length of a string as UTF-8, in bytes. */
export function utf8Length(s: string): number {
  let n = s.length
  for (let i = 0; i < s.length; i++) {
    const c = s.charCodeAt(i)
    if (c < 0x80) continue
    if (c < 0x800) n += 1
    else if (c >= 0xd800 && c < 0xdc00 && i + 1 < s.length && (s.charCodeAt(i + 1) & 0xfc00) === 0xdc00) {
      n += 2
      i++
    } else n += 2
  }
  return n
}

/** A string, s: len[2] and that many bytes of UTF-8, without NUL (intro(5)). */
export const str: Field<string> = {
  name: 'str',
  size: v => 2 + utf8Length(v),
  put(c, v) {
    const at = need(c, 2)
    let written = 0
    // Almost every string on the wire is a short ASCII name, for which this is several times faster than TextEncoder
    // and TextDecoder.
    if (v.length <= SHORT && c.at + v.length <= c.bytes.length)
      for (; written < v.length; written++) {
        const code = v.charCodeAt(written)
        if (code > 127) break
        c.bytes[c.at + written] = code
      }
    if (written < v.length) written = encoder.encodeInto(v, c.bytes.subarray(c.at)).written
    if (written > 0xffff) throw fail('badMessage', 'a string has over 65535 bytes')
    c.bytes[at] = written
    c.bytes[at + 1] = written >>> 8
    c.at += written
  },
  get(c, d) {
    const n = u16.get(c, d)
    const at = need(c, n)
    let ascii = ''
    if (n <= SHORT) {
      let i = at
      for (; i < at + n; i++) {
        const b = c.bytes[i]!
        if (b === 0 || b > 127) break
        ascii += String.fromCharCode(b)
      }
      if (i === at + n) return ascii
    }
    let s: string
    try {
      s = decoder.decode(c.bytes.subarray(at, at + n))
    } catch {
      throw fail('badMessage', 'a string is not UTF-8')
    }
    if (s.includes('\0')) throw fail('badMessage', 'a string contains NUL')
    return s
  },
}

/** A payload: count[4] and that many bytes. Unpacked as a view on the received buffer: copy what you keep. */
export const data: Field<Uint8Array> = {
  name: 'data',
  size: v => 4 + v.length,
  put(c, v) {
    u32.put(c, v.length, '9P2000')
    c.bytes.set(v, need(c, v.length))
  },
  get(c) {
    const n = u32.get(c, '9P2000')
    const at = need(c, n)
    return c.bytes.subarray(at, at + n)
  },
}

export const qid: Field<Qid> = {
  name: 'qid',
  size: () => 13,
  put(c, v) {
    const at = need(c, 13)
    c.bytes[at] = v.type
    put32(c.bytes, at + 1, v.version)
    put64(c.bytes, at + 5, v.path)
  },
  get(c) {
    const at = need(c, 13)
    return { type: c.bytes[at]!, version: get32(c.bytes, at + 1), path: get64(c.bytes, at + 5) }
  },
}

/** An array: n[2] and n items. */
export function array<T>(of: Field<T>, most: number): Field<T[]> {
  return {
    name: `${of.name}[]`,
    size: (v, d) => v.reduce((n, item) => n + of.size(item, d), 2),
    put(c, v, d) {
      u16.put(c, v.length, d)
      for (const item of v) of.put(c, item, d)
    },
    get(c, d) {
      const n = u16.get(c, d)
      if (n > most) throw fail('badMessage', `${n} names, at most ${most}`)
      const out: T[] = []
      for (let i = 0; i < n; i++) out.push(of.get(c, d))
      return out
    },
  }
}

/** A field that only some dialects carry. */
export function only<T>(
  dialects: readonly Dialect[],
  field: Field<T>,
  absent: T,
): Field<T> & { only: readonly Dialect[] } {
  return { ...field, only: dialects, absent }
}

const u = ['9P2000.u'] as const

/** The fields of a stat after its size[2], in order. */
export const statFields = {
  type: u16,
  dev: u32,
  qid,
  mode: u32,
  atime: u32,
  mtime: u32,
  length: u64,
  name: str,
  uid: str,
  gid: str,
  muid: str,
  extension: only(u, str, ''),
  n_uid: only(u, u32, NONUNAME),
  n_gid: only(u, u32, NONUNAME),
  n_muid: only(u, u32, NONUNAME),
} satisfies Record<keyof Stat, Field<never> | Field<number> | Field<string> | Field<bigint> | Field<Qid>>

export type AnyField = Field<any>

/** A field of a row as one dialect carries it, with nothing left to look up. */
export type Column = { readonly name: string; readonly field: AnyField; readonly carried: boolean }

export const perDialect = <T>(make: (dialect: Dialect) => T): Readonly<Record<Dialect, T>> => ({
  '9P2000': make('9P2000'),
  '9P2000.u': make('9P2000.u'),
  '9P2000.L': make('9P2000.L'),
})

/** The columns of a row of fields in one dialect. */
export function columns(fields: Record<string, AnyField>, dialect: Dialect): Column[] {
  return Object.entries(fields).map(([name, field]) => ({
    name,
    field,
    carried: !field.only || field.only.includes(dialect),
  }))
}

/** The length of a row's fields in bytes. Fields that `from` does not have count with their default. */
export function sizeOf(row: readonly Column[], from: Record<string, any>, dialect: Dialect): number {
  let n = 0
  for (const { name, field, carried } of row) if (carried) n += field.size(from[name] ?? field.absent, dialect)
  return n
}

/** Writes a row's fields at the cursor. Fields that `from` does not have are written with their default. */
export function putAll(c: Cursor, row: readonly Column[], from: Record<string, any>, dialect: Dialect): void {
  for (const { name, field, carried } of row) if (carried) field.put(c, from[name] ?? field.absent, dialect)
}

/**
 * Reads a row's fields at the cursor into an object; fields that are not carried get their default.
 * @throws FsError `bad message`
 */
export function getAll(c: Cursor, row: readonly Column[], into: Record<string, any>, dialect: Dialect): void {
  for (const { name, field, carried } of row)
    into[name] = carried && !(field.optional && c.at === c.bytes.length) ? field.get(c, dialect) : field.absent
}

const statColumns = perDialect(dialect => columns(statFields, dialect))

/** A stat as a directory read has it: its own size[2] and its fields. */
export const bareStat: Field<Stat> = {
  name: 'bareStat',
  size: (v, d) => 2 + sizeOf(statColumns[d], v, d),
  put(c, v, d) {
    const length = sizeOf(statColumns[d], v, d)
    if (length > 0xffff - 2) throw fail('badMessage', 'a stat has over 65535 bytes')
    u16.put(c, length, d)
    putAll(c, statColumns[d], v, d)
  },
  get(c, d) {
    const n = u16.get(c, d)
    const at = need(c, n)
    const inner: Cursor = { bytes: c.bytes.subarray(0, at + n), at }
    const out = {} as Record<string, any>
    getAll(inner, statColumns[d], out, d)
    if (inner.at !== at + n) throw fail('badMessage', 'a stat has bytes left over')
    return out as unknown as Stat
  },
}

/**
 * A stat in Rstat and Twstat, where its size is given twice: n[2], then the stat's own size[2] = n - 2 (stat(5), BUGS).
 */
export const stat: Field<Stat> = {
  name: 'stat',
  size: (v, d) => 2 + bareStat.size(v, d),
  put(c, v, d) {
    u16.put(c, bareStat.size(v, d), d)
    bareStat.put(c, v, d)
  },
  get(c, d) {
    const n = u16.get(c, d)
    const end = c.at + n
    if (end > c.bytes.length) throw short()
    const v = bareStat.get(c, d)
    if (c.at !== end) throw fail('badMessage', 'the two sizes of a stat differ')
    return v
  },
}

const lossy = new TextDecoder('utf-8', { ignoreBOM: true })

/**
 * A name in a listing. A name that is not UTF-8 (which cannot be walked to) is decoded as far as possible, so that it
 * does not hide the other entries.
 */
const listed: Field<string> = {
  ...str,
  get(c, d) {
    const n = u16.get(c, d)
    const at = need(c, n)
    const name = lossy.decode(c.bytes.subarray(at, at + n))
    if (name.includes('\0')) throw fail('badMessage', 'a string contains NUL')
    return name
  },
}

export const dirent: Field<Dirent> = {
  name: 'dirent',
  size: (v, d) => 22 + str.size(v.name, d),
  put(c, v, d) {
    qid.put(c, v.qid, d)
    u64.put(c, v.offset, d)
    u8.put(c, v.type, d)
    str.put(c, v.name, d)
  },
  get: (c, d) => ({ qid: qid.get(c, d), offset: u64.get(c, d), type: u8.get(c, d), name: listed.get(c, d) }),
}

/** Unpacks the entries of an Rreaddir's data. */
export function parseDirents(data: Uint8Array): Dirent[] {
  const c: Cursor = { bytes: data, at: 0 }
  const out: Dirent[] = []
  while (c.at < data.length) out.push(dirent.get(c, '9P2000.L'))
  return out
}
