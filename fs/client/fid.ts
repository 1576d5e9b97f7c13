/** `Fid`: a file at a server, with its operations in every dialect. */
import { fail } from '../base/errors.js'
import { IOHDRSZ, MAX_ENTRIES, MAX_LISTING, MAX_NAME, MAX_WHOLE, MAXWELEM, WINDOW } from '../base/limits.js'
import { namesOf, resolve } from '../base/path.js'
import { utf8Length } from '../wire/field.js'
import { join } from '../wire/framer.js'
import type { Msg, ReplyOf, TMessage } from '../wire/message.js'
import { type Dialect, OREAD, OTRUNC, OWRITE, type Qid, type Stat } from '../wire/protocol.js'
import type { ClientConnection } from './connection.js'
import type { ClientFid, FileOperations, Opening, Position } from './dialect.js'
import { ownGroup } from './linux.js'
import { linuxDialect } from './linux-dialect.js'
import { plainDialect } from './plain-dialect.js'

const dialects: Readonly<Record<Dialect, FileOperations>> = {
  '9P2000': plainDialect,
  '9P2000.u': plainDialect,
  '9P2000.L': linuxDialect,
}

const clunked = ({ fid }: Fid) => fail('unknownFid', `${fid} was clunked`)

/** A file at the server, in any dialect. After `clunk` or `remove` each call fails with `unknown fid`. */
export class Fid implements ClientFid {
  readonly #operations: FileOperations
  #qid: Qid
  #iounit = 0
  #position: Position<Fid>
  /** The clunk or remove that ended the fid. */
  #ending: Promise<void> | undefined

  /** @internal created by Client.attach and walk */
  constructor(
    readonly client: ClientConnection,
    readonly fid: number,
    qid: Qid,
    position?: Position<Fid>,
  ) {
    this.#operations = dialects[client.dialect]
    this.#qid = qid
    this.#position = position ?? { root: this, names: [] }
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

  /** @internal */
  get position(): Position<Fid> {
    return this.#position
  }

  /** @internal */
  moved(names: readonly string[]): void {
    this.#position = { root: this.#position.root, names }
  }

  /** @internal */
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
   * is sent again. In 9P2000.L it takes two round trips.
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
    const asked = this.#operations.asksBehindWalk && names.length <= MAXWELEM ? question(fid) : undefined
    asked?.catch(() => {})
    await walked
    try {
      return { fid, answer: await (asked?.catch(() => question(fid)) ?? question(fid)) }
    } catch (error) {
      fid.drop()
      throw error
    }
  }

  /** A fid that has yet to be walked to that position. */
  #step(names: readonly string[]): Fid {
    const { root, names: here } = this.#position
    return new Fid(this.client, this.client.takeFid(), this.#qid, { root, names: resolve(here, names) })
  }

  /** Walks to this fid's position from another fid. */
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
      if (made) this.drop()
      else this.client.giveFid(this.fid)
      throw error
    }
    return this
  }

  /** Opens the file with OREAD, OWRITE, ORDWR or OEXEC, and optionally OTRUNC, ORCLOSE and OAPPEND (open(5)). */
  async open(mode: number, signal?: AbortSignal): Promise<this> {
    return this.#opened(await this.#operations.open(this, mode, signal))
  }

  #opened({ qid, iounit }: Opening): this {
    this.#qid = qid
    this.#iounit = iounit
    return this
  }

  /**
   * Creates a file in this directory; the fid then stands for that file, opened (create(5)). With DMDIR in `perm` it
   * creates a directory, opened OREAD. In 9P2000.L, `perm` may have bits above 0o777, and a file of that name that
   * exists is opened, unless `mode` has OEXCL.
   * @param gid the new file's group in 9P2000.L; by default that of this process
   */
  async create(name: string, perm: number, mode: number, signal?: AbortSignal, gid = ownGroup()): Promise<this> {
    return this.#opened(await this.#operations.create(this, name, perm, mode, gid, signal))
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
  stat(signal?: AbortSignal): Promise<Stat> {
    return this.#operations.stat(this, signal)
  }

  /**
   * Changes the given fields and leaves the others (stat(5)): `name` renames the file within its directory, `length`
   * truncates.
   */
  wstat(changes: Partial<Stat>, signal?: AbortSignal): Promise<void> {
    return this.#operations.wstat(this, changes, signal)
  }

  /** fsync(2): when this returns, everything written is in storage. */
  sync(signal?: AbortSignal): Promise<void> {
    return this.#operations.sync(this, signal)
  }

  /**
   * Asks the server to check a written file that is now complete, before the clunk, whose errors are less precise.
   * llambo servers check models and settings at this point. Other servers have no such check and may refuse the wstat
   * that asks for it or write to a disk, so they are not asked.
   * @throws FsError what the server finds wrong
   */
  finish(signal?: AbortSignal): Promise<void> {
    return this.#operations.finish(this, signal)
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
    for (let offset = 0n; ; ) {
      const listing = await this.#operations.list(this, offset, this.#payload, signal)
      if (listing.bytes === 0) return out
      offset = listing.next
      entries += listing.entries.length
      bytes += listing.bytes
      for (const stat of listing.entries) {
        if (stat.name === '.' || stat.name === '..') continue
        if (stat.name === '' || stat.name.includes('/') || utf8Length(stat.name) > MAX_NAME)
          throw fail('badMessage', `directory entry with an invalid name: ${JSON.stringify(stat.name.slice(0, 80))}`)
        out.push(stat)
      }
      if (entries > MAX_ENTRIES) throw fail('tooLarge', `directory with over ${MAX_ENTRIES} entries`)
      if (bytes > MAX_LISTING) throw fail('tooLarge', `directory listing over ${MAX_LISTING} bytes`)
    }
  }

  /**
   * Like `list`, with every field of each stat valid: in 9P2000.L that takes a walk to each entry. An entry that has
   * been removed since is left out; of one that the user may not stat, only the fields that `list` returns are valid.
   */
  async stats(signal?: AbortSignal): Promise<Stat[]> {
    return this.#operations.stats(this, await this.list(signal), signal)
  }

  /** Removes the file. The fid is gone, even if this fails (remove(5)). */
  remove(): Promise<void> {
    this.#ending ??= this.#operations.remove(this, by => this.#gone(by))
    return this.#ending
  }

  /** Closes the file. The fid is gone, even if this fails; a second call returns what the first did. */
  clunk(): Promise<void> {
    this.#ending ??= this.#gone('Tclunk')
    return this.#ending
  }

  /** Clunks the fid without waiting: later requests on the connection come after the clunk, and its failure is lost. */
  drop(): void {
    this.clunk().catch(() => {})
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
    const fid = await this.walk(namesOf(path), signal)
    let result: T
    try {
      await fid.open(mode, signal)
      result = await use(fid)
    } catch (error) {
      fid.drop()
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
