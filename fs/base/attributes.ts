/** Converts between a file's Attributes and 9P's stat, wstat, getattr and setattr. */

import type { Attributes, Context, Extent, File, Opened, Owner } from '../file.js'
import { GETATTR_BASIC, S_IFDIR, S_IFREG, SETATTR } from '../wire/linux.js'
import type { Msg } from '../wire/message.js'
import { NONUNAME, type Qid, QTDIR, type Stat } from '../wire/protocol.js'
import type { Clock } from './clock.js'
import { fail } from './errors.js'
import { EXTENT_MS, OPEN_EXTENT_MS } from './limits.js'
import { andThen, type MaybePromise } from './maybe-promise.js'

const never = { u16: 0xffff, u32: 0xffffffff, u64: 0xffffffffffffffffn }

/** The group of every file, by name. */
export const GROUP = 'admin'

/**
 * The gid of a file; never NONUNAME if the owner has a uid, because Linux v9fs refuses to write to a file whose group
 * it cannot map (EACCES, without asking the server).
 */
const groupOf = (owner: Owner): number => owner.gid ?? owner.uid

/**
 * The `type` of every stat that a llambo server sends, `ll`. 9P leaves this field to kernels, which fill in their own
 * value. A llambo client recognises by it a server that checks a file once all of it has been written (`Fid.finish`).
 */
export const OUR_TYPE = 0x6c6c

/**
 * A file's attributes with the length and time of its content: of what this open reads, if there is one, otherwise of
 * what the next open would read. Content that takes long to generate is reported with length 0: a listing must not wait
 * for what a read would wait for.
 */
export function measured(file: File, ctx: Context, clock: Clock, opened?: Opened): MaybePromise<Attributes> {
  const of = opened?.extent ? opened : file
  if (!of.extent) return file.attributes(ctx)
  return andThen(file.attributes(ctx), attributes => {
    const known = ({ length, mtime }: Extent): Attributes => ({ ...attributes, length, mtime })
    try {
      const extent = of.extent!(ctx)
      // content that cannot be generated now has no length; the read reports why
      if (!(extent instanceof Promise)) return known(extent)
      const patience = opened?.extent ? OPEN_EXTENT_MS : EXTENT_MS
      return new Promise(resolve => {
        const cancel = clock.after(patience, () => resolve(attributes))
        const done = (made: Attributes) => {
          cancel()
          resolve(made)
        }
        extent.then(
          it => done(known(it)),
          () => done(attributes),
        )
      })
    } catch {
      return attributes
    }
  })
}

/** The stat(5) of a file. */
export function toStat(name: string, qid: Qid, a: Attributes): Stat {
  return {
    type: OUR_TYPE,
    dev: 0,
    qid,
    mode: ((qid.type << 24) | a.mode) >>> 0,
    atime: Math.floor(a.atime),
    mtime: Math.floor(a.mtime),
    length: qid.type & QTDIR ? 0n : BigInt(a.length),
    name,
    uid: a.owner.name,
    gid: GROUP,
    muid: a.owner.name,
    extension: '',
    n_uid: a.owner.uid,
    n_gid: groupOf(a.owner),
    n_muid: a.owner.uid,
  }
}

/** A stat in which every field says "do not touch" (stat(5)): the base of a wstat. Sent as it is, it is an fsync. */
export function untouched(): Stat {
  const qid = { type: 0xff, version: never.u32, path: never.u64 }
  const numbers = { type: never.u16, dev: never.u32, mode: never.u32, atime: never.u32, mtime: never.u32 }
  const ids = { n_uid: NONUNAME, n_gid: NONUNAME, n_muid: NONUNAME }
  return { ...numbers, ...ids, qid, length: never.u64, name: '', uid: '', gid: '', muid: '', extension: '' }
}

/** The changes that a wstat or setattr asks for, in one form. Undefined: do not touch. */
export interface Wanted {
  name?: string
  length?: number
  owner?: boolean
  /** Permission bits other than those that the file has. */
  mode?: boolean
  /**
   * The permission bits that the file has already, or times: accepted from a user who may write the file, and ignored.
   */
  other?: boolean
}

/** The changes that a Twstat asks for. @param now the file's current stat */
export function wantedOfStat(s: Stat, now: Stat): Wanted {
  const wanted: Wanted = {}
  if (s.name !== '' && s.name !== now.name) wanted.name = s.name
  if (s.length !== never.u64) wanted.length = safeLength(s.length)
  if ((s.uid !== '' && s.uid !== now.uid) || (s.gid !== '' && s.gid !== now.gid)) wanted.owner = true
  if ((s.n_uid !== NONUNAME && s.n_uid !== now.n_uid) || (s.n_gid !== NONUNAME && s.n_gid !== now.n_gid))
    wanted.owner = true
  if (s.mode !== never.u32 && s.mode !== now.mode) wanted.mode = true
  if (s.mode !== never.u32 || s.mtime !== never.u32 || s.atime !== never.u32) wanted.other = true
  return wanted
}

/** The bits of a mode that chmod(2) sets; those above them give the type of the file. */
const PERMISSIONS = 0o7777
const { MODE, UID, GID, SIZE, ATIME, MTIME, CTIME, ATIME_SET, MTIME_SET } = SETATTR
const TIMES = ATIME | MTIME | CTIME | ATIME_SET | MTIME_SET

/** The changes that a Tsetattr asks for. @param now the file's current stat */
export function wantedOfSetattr(m: Msg<'Tsetattr'>, now: Stat): Wanted {
  const wanted: Wanted = {}
  if (m.valid & SIZE) wanted.length = safeLength(m.size)
  if ((m.valid & UID && m.uid !== now.n_uid) || (m.valid & GID && m.gid !== now.n_gid)) wanted.owner = true
  if (m.valid & MODE && (m.mode & PERMISSIONS) !== (now.mode & PERMISSIONS)) wanted.mode = true
  if (m.valid & (MODE | TIMES)) wanted.other = true
  return wanted
}

function safeLength(n: bigint): number {
  if (n > BigInt(Number.MAX_SAFE_INTEGER)) throw fail('badArgument', 'length')
  return Number(n)
}

/** Linux's uid for a user that it cannot map (overflowuid). Rgetattr, unlike a stat, has no value that says "none". */
const NOBODY = 65534

/** The body of an Rgetattr: all of its fields, whatever was requested. */
export function toGetattr(qid: Qid, a: Attributes, blksize: number): Omit<Msg<'Rgetattr'>, 'tag' | 'type'> {
  const directory = (qid.type & QTDIR) !== 0
  const size = directory ? 0n : BigInt(a.length)
  const named = (id: number) => (id === NONUNAME ? NOBODY : id)
  const seconds = (t: number) => BigInt(Math.floor(t))
  const nanoseconds = (t: number) => BigInt(Math.floor((t % 1) * 1e9))
  return {
    valid: GETATTR_BASIC,
    qid,
    mode: (directory ? S_IFDIR : S_IFREG) | a.mode,
    uid: named(a.owner.uid),
    gid: named(groupOf(a.owner)),
    nlink: directory ? 2n : 1n,
    rdev: 0n,
    size,
    blksize: BigInt(blksize),
    blocks: (size + 511n) / 512n,
    atime_sec: seconds(a.atime),
    atime_nsec: nanoseconds(a.atime),
    mtime_sec: seconds(a.mtime),
    mtime_nsec: nanoseconds(a.mtime),
    ctime_sec: seconds(a.mtime),
    ctime_nsec: nanoseconds(a.mtime),
    btime_sec: 0n,
    btime_nsec: 0n,
    gen: 0n,
    data_version: 0n,
  }
}
