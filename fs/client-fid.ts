import { untouched } from './attributes.js'
import type { Client } from './client.js'
import * as linux from './client-linux.js'
import { FsError, fail } from './errors.js'
import { bareStat, type Cursor, parseDirents, utf8Length } from './field.js'
import { join } from './framer.js'
import { IOHDRSZ, MAX_ENTRIES, MAX_LISTING, MAX_NAME, MAX_WHOLE, MAXWELEM } from './limits.js'
import type { Msg, ReplyOf, TMessage } from './message.js'
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
} from './protocol.js'

/** Twrites of one `write`, and walks of one `stats`, that are on their way at once. */
const WINDOW = 8

const clunked = ({ fid }: Fid) => fail('unknownFid', `${fid}, it was clunked`)

/** What a server says of an entry that this user may see in its directory, and not ask about. */
const EPERM = 1
const EACCES = 13

/** What a server says that has no Tunlinkat. */
const ENOSYS = 38
const EOPNOTSUPP = 95

/** Of Tunlinkat: what is removed is a directory. */
const AT_REMOVEDIR = 0x200

/** Linux open(2) flags, as 9P2000.L has them on every machine. */
const O_CREAT = 0o100
const O_EXCL = 0o200
const O_TRUNC = 0o1000
const O_APPEND = 0o2000

/** What of a stat Tsetattr changes, and the bits of its `valid`. */
const { MODE, UID, GID, SIZE, ATIME, ATIME_SET, MTIME, MTIME_SET } = linux.SET
const SET = {
  mode: MODE,
  n_uid: UID,
  n_gid: GID,
  length: SIZE,
  atime: ATIME | ATIME_SET,
  mtime: MTIME | MTIME_SET,
} as const

/** d_type of an Rreaddir's entries, which is S_IFMT's of a mode, as 9P2000.u's bits of mode; a directory's is in its qid. */
const KINDS: Readonly<Record<number, number>> = {
  1: DMNAMEDPIPE,
  2: DMDEVICE,
  6: DMDEVICE,
  10: DMSYMLINK,
  12: DMSOCKET,
}

/** Where a fid stands: the tree's root fid and the names below it. */
interface At {
  root: Fid
  names: readonly string[]
}

/** A file at the server, in any dialect. After `clunk` or `remove` it is used up; each call fails `unknown fid` then. */
export class Fid {
  #qid: Qid
  #iounit = 0
  #at: At
  /** The clunk or remove that ends it. */
  #ending: Promise<void> | undefined

  /** @internal made by Client.attach and walk */
  constructor(
    readonly client: Client,
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

  /** Bytes that one write carries whole, once open; 0: the server did not say (it is msize - 24). */
  get iounit(): number {
    return this.#iounit
  }

  /** The most payload of one message. */
  get #payload(): number {
    return this.client.msize - IOHDRSZ
  }

  /** Whether the connection speaks 9P2000.L: what that has beyond the calls here is in client-linux.ts. */
  get linux(): boolean {
    return this.client.dialect === '9P2000.L'
  }

  /** @internal one request about this fid, for client-linux.ts */
  rpc<T extends TMessage['type']>(m: { type: T } & Omit<Msg<T>, 'tag'>, signal?: AbortSignal): Promise<ReplyOf<T>> {
    if (this.#ending) return Promise.reject(clunked(this))
    return this.client.rpc<T>(m as Parameters<typeof this.client.rpc<T>>[0], signal)
  }

  /**
   * A new fid for the file at the end of `names`, any number of them; for none a second fid of this file. All or nothing.
   * @throws FsError what the server says of the first name that it does not walk; with nothing left behind there
   */
  walk(names: readonly string[], signal?: AbortSignal): Promise<Fid> {
    return this.#step(names).#walked(this, names, signal)
  }

  /**
   * A walk and a question about its end in one round trip: what `question` sends leaves behind the walk that makes its fid. A server
   * that takes it up before knows no such fid yet, and is asked again. In 9P2000.L two round trips: diod 1.0.24 ends by SIGSEGV at
   * a request on a fid that it is still walking to.
   * @throws FsError as both do; with nothing left behind at the server
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

  /** A fid that is still to be walked to that place. */
  #step(names: readonly string[]): Fid {
    const { root, names: here } = this.#at
    return new Fid(this.client, this.client.takeFid(), this.#qid, { root, names: resolve(here, names) })
  }

  /** Walks to it from another. */
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
          // walk(5) says only of a first name why it cannot be walked: those before it go by themselves, and it comes first
          most = wqid.length
          continue
        }
        made = true
        this.#qid = wqid.at(-1) ?? this.#qid
        i += wname.length
      }
      // it may have been walked before the flush got there
      if (signal?.aborted) throw fail('interrupted')
    } catch (error) {
      if (made) this.clunk().catch(() => {})
      else this.client.giveFid(this.fid)
      throw error
    }
    return this
  }

  /** Opens the file: OREAD, OWRITE, ORDWR or OEXEC, perhaps with OTRUNC, ORCLOSE, OAPPEND (open(5)). */
  async open(mode: number, signal?: AbortSignal): Promise<this> {
    const { fid } = this
    const reply = this.linux
      ? await this.rpc({ type: 'Tlopen', fid, flags: linuxFlags(mode) }, signal)
      : await this.rpc({ type: 'Topen', fid, mode }, signal)
    this.#qid = reply.qid
    this.#iounit = reply.iounit
    // Linux' own client truncates once more, and nfs-ganesha (seen: 4.3) leaves it to that
    if (this.linux && mode & OTRUNC && (await linux.getattr(this, signal)).size > 0n)
      await this.wstat({ length: 0n }, signal)
    return this
  }

  /**
   * In a directory: makes a file and becomes it, opened (create(5)). `perm` with DMDIR makes a directory, opened OREAD. In 9P2000.L
   * `perm` may have the bits above 0o777, and `mode` OEXCL: there a file of that name is opened unless that forbids it.
   * @param gid the new file's group in 9P2000.L; this process's own unless given
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

  /** One Tread of up to `count` bytes (no more than a message holds). Empty: end of file. */
  async read(offset: number, count: number, signal?: AbortSignal): Promise<Uint8Array> {
    const most = Math.min(count, this.#payload)
    const { data } = await this.rpc({ type: 'Tread', fid: this.fid, offset: at(offset), count: most }, signal)
    // a view on what was received: a small one would keep a large buffer alive
    return data.length * 4 < data.buffer.byteLength ? data.slice() : data
  }

  /**
   * Writes all of `data`, in as many Twrites as it takes, several of them on their way at once.
   * @returns data.length
   * @throws FsError of the first write that failed, or `i/o error` if the server took less than it was given; what went
   *   before it is written, of what came behind it some may be
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
    if (count < data.length) throw fail('io', `the server took ${count} of ${data.length} bytes`)
    return count
  }

  /** stat(5); in 9P2000.L made from Rgetattr, with the name it was walked by and numbers for names of users. */
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

  /** Changes what is given and leaves the rest (stat(5)): `name` renames in its directory, `length` truncates. */
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

  /** fsync(2): what was written is where it should be when this returns. In 9P2000 a wstat that changes nothing. */
  async sync(signal?: AbortSignal): Promise<void> {
    if (this.linux) await this.rpc({ type: 'Tfsync', fid: this.fid, datasync: 0 }, signal)
    else await this.wstat({}, signal)
  }

  /**
   * Asks what the server finds wrong with a written file now that all of it is there, before the clunk, whose failure tells less. Our
   * servers check models and settings then. Others have no such check, and may refuse the wstat that asks, or write to a disk: they
   * are not asked. @throws FsError what the server finds
   */
  async finish(signal?: AbortSignal): Promise<void> {
    if (this.linux) return
    if (this.client.ours === undefined) await this.rpc({ type: 'Tstat', fid: this.fid }, signal)
    if (this.client.ours) await this.sync(signal)
  }

  /**
   * The entries of this opened directory, from the first to the last, without `.` and `..`, which some servers have among
   * them. In 9P2000.L, whose Rreaddir has no more, only name, qid and what kind of file it is (the DM bits of mode) are true.
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
        throw fail('badMessage', `a directory has an entry ${JSON.stringify(stat.name.slice(0, 80))}`)
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
      if (entries > MAX_ENTRIES) throw fail('tooLarge', `a directory of over ${MAX_ENTRIES} entries`)
      if (bytes > MAX_LISTING) throw fail('tooLarge', `a directory's listing of over ${MAX_LISTING} bytes`)
    }
  }

  /**
   * As `list`, with every field of each stat true: in 9P2000.L that takes a walk to each. What is gone by then is left out; of what the
   * server does not let us ask about, only what `list` has is true.
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

  /** Removes the file. The fid is gone, whether that worked or not (remove(5)). */
  remove(): Promise<void> {
    this.#ending ??= this.#remove()
    return this.#ending
  }

  /** In 9P2000.L by its name, as Linux' own client does: nfs-ganesha (seen: 4.3) ends by SIGSEGV at a Tremove. */
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

  /** Closes the file. The fid is gone, even when this fails; a second call answers as the first did. */
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

  /** A whole file, by its path below this directory. @throws FsError `file too large` beyond MAX_WHOLE */
  async readFile(path: string, signal?: AbortSignal): Promise<Uint8Array> {
    return this.#using(path, OREAD, signal, async fid => {
      const chunks: Uint8Array[] = []
      let length = 0
      for (;;) {
        const chunk = await fid.read(length, this.#payload, signal)
        if (chunk.length === 0) break
        chunks.push(chunk)
        length += chunk.length
        if (length > MAX_WHOLE) throw fail('tooLarge', `${path}: over ${MAX_WHOLE} bytes, read it in pieces`)
      }
      return join(chunks, length)
    })
  }

  /** Replaces the content of a file that is there, by its path below this directory. */
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

/** The names below the root after walking on: `..` at the root stays there. */
function resolve(from: readonly string[], names: readonly string[]): string[] {
  const out = [...from]
  for (const name of names) {
    if (name === '..') out.pop()
    else if (name !== '.') out.push(name)
  }
  return out
}

function linuxFlags(mode: number): number {
  if (mode & ORCLOSE) throw fail('notSupported', 'remove on close in 9P2000.L')
  const access = (mode & 3) === OEXEC ? OREAD : mode & 3
  return access | (mode & OTRUNC ? O_TRUNC : 0) | (mode & OAPPEND ? O_APPEND : 0) | (mode & OEXCL ? O_EXCL : 0)
}

/** A time of an Rgetattr as a stat has it, in 32 bits: those before 1970 are 0, and what is later than 2106 is that. */
function seconds(time: bigint): number {
  return Math.min(Math.max(Number(BigInt.asIntN(64, time)), 0), 0xffffffff)
}

/** A stat of which only name and qid are known. */
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
