/** `Fid`: a file at a server, with its operations in every dialect. */
import { untouched } from '../base/attributes.js'
import { FsError, fail } from '../base/errors.js'
import { IOHDRSZ, MAX_ENTRIES, MAX_LISTING, MAX_NAME, MAX_WHOLE, MAXWELEM } from '../base/limits.js'
import { bareStat, type Cursor, parseDirents, utf8Length } from '../wire/field.js'
import { join } from '../wire/framer.js'
import type { Msg, ReplyOf, TMessage } from '../wire/message.js'
import {
  DMDEVICE,
  DMDIR,
  DMNAMEDPIPE,
  DMSOCKET,
  DMSYMLINK,
  NONUNAME,
  OAPPEND,
  OEXCL,
  OEXEC,
  ORCLOSE,
  OREAD,
  OTRUNC,
  OWRITE,
  type Qid,
  QTDIR,
  type Stat,
} from '../wire/protocol.js'
import type { ClientConnection } from './connection.js'
import * as linux from './linux.js'

/** The most Twrites of one `write`, and walks of one `stats`, in flight at once. */
const WINDOW = 8

const clunked = ({ fid }: Fid) => fail('unknownFid', `${fid} was clunked`)

/** A server's errnos for an entry that the user may see in a directory but not stat. */
const EPERM = 1
const EACCES = 13

/** The errnos of a server that does not implement Tunlinkat. */
const ENOSYS = 38
const EOPNOTSUPP = 95

/** Tunlinkat's flag for removing a directory. */
const AT_REMOVEDIR = 0x200

/** Linux open(2) flags, with the values that 9P2000.L uses on every machine. */
const O_CREAT = 0o100
const O_EXCL = 0o200
const O_TRUNC = 0o1000
const O_APPEND = 0o2000

/** The fields of a stat that Tsetattr can change, with the bits of its `valid`. */
const { MODE, UID, GID, SIZE, ATIME, ATIME_SET, MTIME, MTIME_SET } = linux.SET
const SET = {
  mode: MODE,
  n_uid: UID,
  n_gid: GID,
  length: SIZE,
  atime: ATIME | ATIME_SET,
  mtime: MTIME | MTIME_SET,
} as const

/**
 * The mode bits of 9P2000.u by d_type, the type that an entry of Rreaddir carries (a mode's S_IFMT bits, shifted right
 * by 12). A directory is recognised by its qid instead.
 */
const KINDS: Readonly<Record<number, number>> = {
  1: DMNAMEDPIPE,
  2: DMDEVICE,
  6: DMDEVICE,
  10: DMSYMLINK,
  12: DMSOCKET,
}

/** The position of a fid: the tree's root fid and the names below it. */
interface At {
  root: Fid
  names: readonly string[]
}

/** A file at the server, in any dialect. After `clunk` or `remove` each call fails with `unknown fid`. */
export class Fid {
  #qid: Qid
  #iounit = 0
  #at: At
  /** The clunk or remove that ended the fid. */
  #ending: Promise<void> | undefined

  /** @internal created by Client.attach and walk */
  constructor(
    readonly client: ClientConnection,
    readonly fid: number,
    qid: Qid,
    at?: At,
  ) {
    this.#qid = qid
    this.#at = at ?? { root: this, names: [] }
  }

  get qid(): Qid {
    return this.#qid
  }

  /** Once open: the bytes that one write carries whole. 0 if the server did not say; the limit is msize - 24 then. */
  get iounit(): number {
    return this.#iounit
  }

  /** The largest payload of one message, in bytes. */
  get #payload(): number {
    return this.client.msize - IOHDRSZ
  }

  /** Whether the connection speaks 9P2000.L. Operations that only that dialect has are in linux.ts. */
  get linux(): boolean {
    return this.client.dialect === '9P2000.L'
  }

  /** @internal sends one request about this fid, for linux.ts */
  rpc<T extends TMessage['type']>(m: { type: T } & Omit<Msg<T>, 'tag'>, signal?: AbortSignal): Promise<ReplyOf<T>> {
    if (this.#ending) return Promise.reject(clunked(this))
    return this.client.rpc<T>(m as Parameters<typeof this.client.rpc<T>>[0], signal)
  }

  /**
   * Walks any number of names to a new fid; without names, makes a second fid of this file. All or nothing.
   * @throws FsError the server's error for the first name that it does not walk; nothing is left behind at the server
   *   then
   */
  walk(names: readonly string[], signal?: AbortSignal): Promise<Fid> {
    return this.#step(names).#walked(this, names, signal)
  }

  /**
   * Walks, and asks about the file found, in one round trip: `question` sends its request right behind the walk that
   * creates its fid. If the server processes the question before the walk, it answers `unknown fid`, and the question
   * is sent again. In 9P2000.L it takes two round trips: diod 1.0.24 crashes with SIGSEGV at a request on a fid that it
   * is still walking to.
   * @throws FsError as the walk and the question do; nothing is left behind at the server then
   */
  async ask<T>(
    names: readonly string[],
    question: (fid: Fid) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<{ fid: Fid; answer: T }> {
    if (this.#ending) throw clunked(this)
    const fid = this.#step(names)
    const walked = fid.#walked(this, names, signal)
    const asked = this.linux || names.length > MAXWELEM ? undefined : question(fid)
    asked?.catch(() => {})
    await walked
    try {
      return { fid, answer: await (asked?.catch(() => question(fid)) ?? question(fid)) }
    } catch (error) {
      fid.clunk().catch(() => {})
      throw error
    }
  }

  /** A fid that has yet to be walked to that place. */
  #step(names: readonly string[]): Fid {
    const { root, names: here } = this.#at
    return new Fid(this.client, this.client.takeFid(), this.#qid, { root, names: resolve(here, names) })
  }

  /** Walks to this fid's place from another fid. */
  async #walked(from: Fid, names: readonly string[], signal?: AbortSignal): Promise<Fid> {
    let made = false
    try {
      let most = MAXWELEM
      for (let i = 0; i < names.length || !made; ) {
        const wname = names.slice(i, i + most)
        const { wqid } = await (made ? this : from).rpc(
          { type: 'Twalk', fid: made ? this.fid : from.fid, newfid: this.fid, wname },
          signal,
        )
        if (wqid.length < wname.length) {
          if (wqid.length === 0) throw fail('notFound')
          // walk(5) reports an error only for the first name: walk the names before the failed one separately, so that
          // it comes first in the next walk
          most = wqid.length
          continue
        }
        made = true
        this.#qid = wqid.at(-1) ?? this.#qid
        i += wname.length
      }
      // the walk may have succeeded before the flush reached the server
      if (signal?.aborted) throw fail('interrupted')
    } catch (error) {
      if (made) this.clunk().catch(() => {})
      else this.client.giveFid(this.fid)
      throw error
    }
    return this
  }

  /** Opens the file with OREAD, OWRITE, ORDWR or OEXEC, and optionally OTRUNC, ORCLOSE and OAPPEND (open(5)). */
  async open(mode: number, signal?: AbortSignal): Promise<this> {
    const { fid } = this
    const reply = this.linux
      ? await this.rpc({ type: 'Tlopen', fid, flags: linuxFlags(mode) }, signal)
      : await this.rpc({ type: 'Topen', fid, mode }, signal)
    this.#qid = reply.qid
    this.#iounit = reply.iounit
    // Linux's own client also truncates with a separate request, and nfs-ganesha (seen in 4.3) relies on that
    if (this.linux && mode & OTRUNC && (await linux.getattr(this, signal)).size > 0n)
      await this.wstat({ length: 0n }, signal)
    return this
  }

  /**
   * Creates a file in this directory; the fid then stands for that file, opened (create(5)). With DMDIR in `perm` it
   * creates a directory, opened OREAD. In 9P2000.L, `perm` may have bits above 0o777, and a file of that name that
   * exists is opened, unless `mode` has OEXCL.
   * @param gid the new file's group in 9P2000.L; by default that of this process
   */
  async create(name: string, perm: number, mode: number, signal?: AbortSignal, gid = linux.ownGroup()): Promise<this> {
    const { fid } = this
    if (this.linux && perm & DMDIR) {
      await this.rpc({ type: 'Tmkdir', dfid: fid, name, mode: perm & 0o7777, gid }, signal)
      const { wqid } = await this.rpc({ type: 'Twalk', fid, newfid: fid, wname: [name] }, signal)
      if (wqid.length === 0) throw fail('notFound')
      this.#at = { ...this.#at, names: [...this.#at.names, name] }
      return this.open(mode, signal)
    }
    const flags = linuxFlags(mode) | O_CREAT
    const reply = this.linux
      ? await this.rpc({ type: 'Tlcreate', fid, name, flags, mode: perm & 0o7777, gid }, signal)
      : await this.rpc({ type: 'Tcreate', fid, name, perm, mode }, signal)
    this.#at = { ...this.#at, names: [...this.#at.names, name] }
    this.#qid = reply.qid
    this.#iounit = reply.iounit
    return this
  }

  /** Reads up to `count` bytes, and no more than a message holds, with one Tread. An empty result is end of file. */
  async read(offset: number, count: number, signal?: AbortSignal): Promise<Uint8Array> {
    const most = Math.min(count, this.#payload)
    const { data } = await this.rpc({ type: 'Tread', fid: this.fid, offset: at(offset), count: most }, signal)
    // the data is a view on the received buffer, and a small view would keep a large buffer alive
    return data.length * 4 < data.buffer.byteLength ? data.slice() : data
  }

  /**
   * Writes all of `data`, in as many Twrites as it takes, several of them in flight at once.
   * @returns data.length
   * @throws FsError the error of the first write that failed, or `i/o error` if the server took less than it was given.
   *   Everything before that write is written; some of what follows it may be.
   */
  async write(offset: number, data: Uint8Array, signal?: AbortSignal): Promise<number> {
    const unit = this.#iounit > 0 ? Math.min(this.#iounit, this.#payload) : this.#payload
    if (data.length <= unit) return this.#write(offset, data, signal)
    let next = 0
    let failed = false
    let failure: { at: number; error: unknown } | undefined
    const writer = async () => {
      while (next < data.length && !failed) {
        const from = next
        next += unit
        try {
          await this.#write(offset + from, data.subarray(from, from + unit), signal)
        } catch (error) {
          failed = true
          if (!failure || from < failure.at) failure = { at: from, error }
        }
      }
    }
    await Promise.all(Array.from({ length: WINDOW }, writer))
    if (failure) throw (failure as { error: unknown }).error
    return data.length
  }

  async #write(offset: number, data: Uint8Array, signal?: AbortSignal): Promise<number> {
    const { count } = await this.rpc({ type: 'Twrite', fid: this.fid, offset: at(offset), data }, signal)
    if (count < data.length) throw fail('io', `the server wrote ${count} of ${data.length} bytes`)
    return count
  }

  /**
   * stat(5). In 9P2000.L it is made from an Rgetattr: its name is the one that was walked, and its user names are
   * numbers.
   */
  async stat(signal?: AbortSignal): Promise<Stat> {
    const { fid } = this
    if (!this.linux) return (await this.rpc({ type: 'Tstat', fid }, signal)).stat
    const a = await linux.getattr(this, signal)
    return {
      ...unknown(this.#at.names.at(-1) ?? '/', a.qid),
      mode: ((a.qid.type << 24) | (KINDS[(a.mode >>> 12) & 15] ?? 0) | (a.mode & 0o777)) >>> 0,
      atime: seconds(a.atime_sec),
      mtime: seconds(a.mtime_sec),
      length: a.qid.type & (DMDIR >>> 24) ? 0n : a.size,
      uid: String(a.uid),
      gid: String(a.gid),
      n_uid: a.uid,
      n_gid: a.gid,
    }
  }

  /**
   * Changes the given fields and leaves the others (stat(5)): `name` renames the file within its directory, `length`
   * truncates.
   */
  async wstat(changes: Partial<Stat>, signal?: AbortSignal): Promise<void> {
    const { fid } = this
    if (!this.linux) {
      await this.rpc({ type: 'Twstat', fid, stat: { ...untouched(), ...changes } }, signal)
      return
    }
    const { name, mode = 0, length = 0n, atime = 0, mtime = 0, n_uid: uid = 0, n_gid: gid = 0 } = changes
    let valid = 0
    for (const key in SET) if (changes[key as keyof typeof SET] !== undefined) valid |= SET[key as keyof typeof SET]
    if (valid) {
      const times = { atime_sec: BigInt(atime), atime_nsec: 0n, mtime_sec: BigInt(mtime), mtime_nsec: 0n }
      await linux.setattr(this, { valid, mode: mode & 0o777, uid, gid, size: length, ...times }, signal)
    }
    if (name === undefined) return
    const { root, names } = this.#at
    const dir = await root.walk(names.slice(0, -1), signal)
    try {
      await linux.rename(this, dir, name, signal)
      this.#at = { root, names: [...names.slice(0, -1), name] }
    } finally {
      dir.clunk().catch(() => {})
    }
  }

  /** fsync(2): when this returns, everything written is in storage. In 9P2000 this is a wstat that changes nothing. */
  async sync(signal?: AbortSignal): Promise<void> {
    if (this.linux) await this.rpc({ type: 'Tfsync', fid: this.fid, datasync: 0 }, signal)
    else await this.wstat({}, signal)
  }

  /**
   * Asks the server to check a written file that is now complete, before the clunk, whose errors are less precise.
   * llambo servers check models and settings at this point. Other servers have no such check and may refuse the wstat
   * that asks for it or write to a disk, so they are not asked.
   * @throws FsError what the server finds wrong
   */
  async finish(signal?: AbortSignal): Promise<void> {
    if (this.linux) return
    if (this.client.ours === undefined) await this.rpc({ type: 'Tstat', fid: this.fid }, signal)
    if (this.client.ours) await this.sync(signal)
  }

  /**
   * The entries of this open directory, read from the start to the end, without `.` and `..`, which some servers list.
   * In 9P2000.L, whose Rreaddir has no more, only the name, the qid and the type of file (the DM bits of mode) are
   * valid.
   * @throws FsError `file too large` beyond MAX_ENTRIES or MAX_LISTING, `bad message` for a name that no file can have
   */
  async list(signal?: AbortSignal): Promise<Stat[]> {
    const out: Stat[] = []
    let entries = 0
    let bytes = 0
    const add = (stat: Stat) => {
      entries++
      if (stat.name === '.' || stat.name === '..') return
      if (stat.name === '' || stat.name.includes('/') || utf8Length(stat.name) > MAX_NAME)
        throw fail('badMessage', `directory entry with an invalid name: ${JSON.stringify(stat.name.slice(0, 80))}`)
      out.push(stat)
    }
    for (let offset = 0n; ; ) {
      const { data } = await this.rpc(
        { type: this.linux ? 'Treaddir' : 'Tread', fid: this.fid, offset, count: this.#payload },
        signal,
      )
      if (data.length === 0) return out
      if (this.linux) {
        for (const { name, qid, offset: cookie, type } of parseDirents(data)) {
          add({ ...unknown(name, qid), mode: ((qid.type << 24) | (KINDS[type] ?? 0)) >>> 0 })
          offset = cookie
        }
      } else {
        const c: Cursor = { bytes: data, at: 0 }
        while (c.at < data.length) add(bareStat.get(c, this.client.dialect))
        offset += BigInt(data.length)
      }
      bytes += data.length
      if (entries > MAX_ENTRIES) throw fail('tooLarge', `directory with over ${MAX_ENTRIES} entries`)
      if (bytes > MAX_LISTING) throw fail('tooLarge', `directory listing over ${MAX_LISTING} bytes`)
    }
  }

  /**
   * Like `list`, with every field of each stat valid: in 9P2000.L that takes a walk to each entry. An entry that has
   * been removed since is left out; of one that the user may not stat, only the fields that `list` returns are valid.
   */
  async stats(signal?: AbortSignal): Promise<Stat[]> {
    const entries = await this.list(signal)
    if (!this.linux) return entries
    const { root, names } = this.#at
    const ask = async ({ name }: Stat): Promise<Stat> => {
      const fid = await root.walk([...names, name], signal)
      return fid.stat(signal).finally(() => fid.clunk().catch(() => {}))
    }
    const one = (entry: Stat) =>
      ask(entry).catch(error => {
        if (!(error instanceof FsError)) throw error
        if (error.errno === EACCES || error.errno === EPERM) return entry
        if (!error.isMissing) throw error
      })
    const out: Stat[] = []
    for (let i = 0; i < entries.length; i += WINDOW)
      for (const stat of await Promise.all(entries.slice(i, i + WINDOW).map(one))) if (stat) out.push(stat)
    return out
  }

  /** Removes the file. The fid is gone, even if this fails (remove(5)). */
  remove(): Promise<void> {
    this.#ending ??= this.#remove()
    return this.#ending
  }

  /**
   * In 9P2000.L, removes the file by its name, as Linux's own client does: nfs-ganesha (seen in 4.3) crashes with
   * SIGSEGV at a Tremove.
   */
  async #remove(): Promise<void> {
    const { root, names } = this.#at
    if (!this.linux || names.length === 0) return this.#gone('Tremove')
    const flags = this.#qid.type & QTDIR ? AT_REMOVEDIR : 0
    try {
      const dir = await root.walk(names.slice(0, -1))
      await linux.unlinkat(dir, names.at(-1)!, flags).finally(() => dir.clunk().catch(() => {}))
    } catch (error) {
      if (error instanceof FsError && (error.errno === ENOSYS || error.errno === EOPNOTSUPP))
        return this.#gone('Tremove')
      await this.#gone('Tclunk').catch(() => {})
      throw error
    }
    return this.#gone('Tclunk')
  }

  /** Closes the file. The fid is gone, even if this fails; a second call returns what the first did. */
  clunk(): Promise<void> {
    this.#ending ??= this.#gone('Tclunk')
    return this.#ending
  }

  #gone(type: 'Tclunk' | 'Tremove'): Promise<void> {
    const freed = () => this.client.giveFid(this.fid)
    return this.client.rpc({ type, fid: this.fid }).then(freed, error => {
      freed()
      throw error
    })
  }

  /** Reads a whole file, by its path below this directory. @throws FsError `file too large` beyond MAX_WHOLE */
  async readFile(path: string, signal?: AbortSignal): Promise<Uint8Array> {
    return this.#using(path, OREAD, signal, async fid => {
      const chunks: Uint8Array[] = []
      let length = 0
      for (;;) {
        const chunk = await fid.read(length, this.#payload, signal)
        if (chunk.length === 0) break
        chunks.push(chunk)
        length += chunk.length
        if (length > MAX_WHOLE) throw fail('tooLarge', `${path} has over ${MAX_WHOLE} bytes; read it in pieces`)
      }
      return join(chunks, length)
    })
  }

  /** Replaces the content of an existing file, by its path below this directory. */
  async writeFile(path: string, data: string | Uint8Array, signal?: AbortSignal): Promise<void> {
    const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data
    await this.#using(path, OWRITE | OTRUNC, signal, fid => fid.write(0, bytes, signal))
  }

  async #using<T>(
    path: string,
    mode: number,
    signal: AbortSignal | undefined,
    use: (fid: Fid) => Promise<T>,
  ): Promise<T> {
    const fid = await this.walk(path.split('/').filter(Boolean), signal)
    let result: T
    try {
      await fid.open(mode, signal)
      result = await use(fid)
    } catch (error) {
      fid.clunk().catch(() => {})
      throw error
    }
    await fid.clunk()
    return result
  }
}

function at(offset: number): bigint {
  if (!Number.isSafeInteger(offset) || offset < 0) throw fail('badOffset', offset)
  return BigInt(offset)
}

/** The names below the root after a walk from `from`; `..` at the root stays there. */
function resolve(from: readonly string[], names: readonly string[]): string[] {
  const out = [...from]
  for (const name of names) {
    if (name === '..') out.pop()
    else if (name !== '.') out.push(name)
  }
  return out
}

function linuxFlags(mode: number): number {
  if (mode & ORCLOSE) throw fail('notSupported', '9P2000.L has no remove on close')
  const access = (mode & 3) === OEXEC ? OREAD : mode & 3
  return access | (mode & OTRUNC ? O_TRUNC : 0) | (mode & OAPPEND ? O_APPEND : 0) | (mode & OEXCL ? O_EXCL : 0)
}

/**
 * Converts a time of an Rgetattr to the 32 bits of a stat: times before 1970 become 0, times after 2106 the largest
 * value.
 */
function seconds(time: bigint): number {
  return Math.min(Math.max(Number(BigInt.asIntN(64, time)), 0), 0xffffffff)
}

/** A stat of which only the name and the qid are known. */
function unknown(name: string, qid: Qid): Stat {
  return {
    type: 0,
    dev: 0,
    qid,
    mode: 0,
    atime: 0,
    mtime: 0,
    length: 0n,
    name,
    uid: '',
    gid: '',
    muid: '',
    extension: '',
    n_uid: NONUNAME,
    n_gid: NONUNAME,
    n_muid: NONUNAME,
  }
}
