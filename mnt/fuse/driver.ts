import type { Fid } from '../../fs/client.js'
import { fail } from '../../fs/errors.js'
import { IOHDRSZ } from '../../fs/limits.js'
import { DMDIR, ORDWR, OREAD, OWRITE, QTDIR, type Stat } from '../../fs/message.js'
import { direntType, type Owner, openMode, permits, unixStat } from '../attributes.js'
import type { Link } from '../link.js'
import type { Flight } from './flight.js'
import { drop, type Node, Nodes } from './nodes.js'
import * as k from './protocol.js'

/** An open file or directory: a fid of its own, and for a directory what it listed when last read from its beginning. */
interface Handle {
  fid: Fid
  writes: boolean
  entries?: readonly Stat[]
}

type R<K extends k.Operation> = k.Request<K>
type A<K extends k.Operation> = k.Answer<K> | Promise<k.Answer<K>>
type Handlers = { [K in k.Operation]?: (r: R<K>, flight: Flight) => A<K> }

/** Background requests the kernel may have out. RELEASE is one: were it held back, a close could come after the next open. */
const MAX_BACKGROUND = 0xffff
const NS = 1_000_000_000
/** The kernel rounds this up to its next tick, some ms: the call that looked a name up need not ask for its attributes once more. */
const INSTANT_NS = 1

/**
 * The kernel's operations as 9P: what each one sends is in its body, everything about reading and answering in loop.ts. Nothing
 * is cached (a name or a size may be another any moment), except that attributes hold for the kernel's tick, and a listing's for a second
 * where only one user can look.
 */
export class Driver implements Handlers {
  #handles = new Map<number, Handle>()
  #last = 0
  readonly nodes: Nodes
  /** Bytes in one WRITE at most: a whole number of pages that one Twrite can carry. */
  readonly maxWrite: number
  #valid: number
  /** Called when the kernel has introduced itself: the mount is up. */
  onready: () => void = () => {}

  /**
   * @param root the mounting user's root, attached
   * @param owner whose files are those that name no owner
   * @param shared other users may come in (allow_other)
   */
  constructor(
    readonly link: Link,
    root: Fid,
    readonly owner: Owner,
    readonly shared: boolean,
  ) {
    this.nodes = new Nodes(root.qid)
    this.maxWrite = Math.max(1, Math.floor((root.client.msize - IOHDRSZ) / k.PAGE)) * k.PAGE
    this.#valid = shared ? 0 : 1
  }

  handle(request: k.Request, flight: Flight): any {
    const handler = this[request.op as keyof this] as unknown as ((r: k.Request, flight: Flight) => unknown) | undefined
    if (!handler) throw fail('noSuchCall')
    return handler.call(this, request, flight)
  }

  /** Whether it is answered without the server. */
  local(request: k.Request): boolean {
    return ['INIT', 'DESTROY', 'STATFS', 'RELEASE', 'RELEASEDIR'].includes(request.op)
  }

  forget(nodeid: number, lookups: number): void {
    this.nodes.forget(nodeid, lookups)
  }

  INIT({ in: kernel }: R<'INIT'>): A<'INIT'> {
    const { major, minor, oldest } = k.VERSION
    if (kernel.major !== major || kernel.minor < oldest)
      throw fail(
        'badMessage',
        `the kernel speaks FUSE ${kernel.major}.${kernel.minor}, not ${major}.${oldest} or later`,
      )
    const want =
      k.ASYNC_READ |
      k.ATOMIC_O_TRUNC |
      k.BIG_WRITES |
      k.PARALLEL_DIROPS |
      k.MAX_PAGES |
      (this.shared ? 0 : k.DO_READDIRPLUS | k.READDIRPLUS_AUTO)
    // after the answer has gone out
    setImmediate(() => this.onready())
    return {
      major,
      minor: Math.min(minor, kernel.minor),
      flags: kernel.flags & want,
      max_background: MAX_BACKGROUND,
      congestion_threshold: MAX_BACKGROUND,
      max_write: this.maxWrite,
      // one more: a buffer that does not begin on a page touches one more
      max_pages: this.maxWrite / k.PAGE + 1,
      time_gran: NS,
    }
  }

  DESTROY(): void {}

  async LOOKUP({ header: { nodeid, uid }, in: { name } }: R<'LOOKUP'>, flight: Flight) {
    const parent = this.nodes.get(nodeid)
    return this.#entry(parent, name, uid, await this.#fid(parent, uid, flight), flight)
  }

  async GETATTR({ header: { nodeid, uid }, in: { getattr_flags, fh } }: R<'GETATTR'>, flight: Flight) {
    const fid =
      getattr_flags & k.GETATTR_FH ? this.#handle(fh).fid : await this.#fid(this.nodes.get(nodeid), uid, flight)
    return this.#attributes(await fid.stat(flight.signal))
  }

  /** chown is accepted and ignored, as 9P has none; so are access times. */
  async SETATTR({ header: { nodeid, uid }, in: to }: R<'SETATTR'>, flight: Flight) {
    const handle = to.valid & k.FATTR_FH ? this.#handle(to.fh) : undefined
    // a fid of its own: a server may refuse others' questions on one that is being changed
    const fid = handle?.fid ?? (await (await this.#fid(this.nodes.get(nodeid), uid, flight)).walk([], flight.signal))
    try {
      const changes: Partial<Stat> = {}
      if (to.valid & k.FATTR_SIZE) changes.length = BigInt(to.size)
      if (to.valid & k.FATTR_MODE) changes.mode = ((to.mode & 0o777) | (fid.qid.type & QTDIR ? DMDIR : 0)) >>> 0
      if (to.valid & k.FATTR_MTIME)
        changes.mtime = to.valid & k.FATTR_MTIME_NOW ? Math.floor(Date.now() / 1000) : to.mtime % 2 ** 32
      if (Object.keys(changes).length > 0) await fid.wstat(changes, flight.signal)
      return this.#attributes(await fid.stat(flight.signal))
    } finally {
      if (!handle) drop(fid)
    }
  }

  READLINK(): never {
    throw fail('badArgument', 'not a symbolic link')
  }

  SYMLINK(): never {
    throw fail('notPermitted')
  }

  MKNOD(): never {
    throw fail('notPermitted')
  }

  LINK(): never {
    throw fail('notPermitted')
  }

  async OPEN({ header: { nodeid, uid }, in: { flags } }: R<'OPEN'>, flight: Flight) {
    const node = this.nodes.get(nodeid)
    // the fid that the lookup just before has walked becomes the open one
    const fid =
      this.nodes.take(node, uid, this.link.client) ?? (await (await this.#root(uid)).walk(node.path, flight.signal))
    return this.#open(fid, openMode(flags), flight)
  }

  async CREATE({ header: { nodeid, uid }, in: { name, flags, mode } }: R<'CREATE'>, flight: Flight) {
    const parent = this.nodes.get(nodeid)
    const fid = await (await this.#fid(parent, uid, flight)).walk([], flight.signal)
    try {
      await fid.create(name, mode & 0o777, openMode(flags), flight.signal)
      const stat = await fid.stat(flight.signal)
      if (flight.answered) throw fail('interrupted')
      const node = this.nodes.lookup(parent, name, stat.qid)
      return { nodeid: node.id, ...this.#attributes(stat), ...this.#opened(fid, openMode(flags)) }
    } catch (error) {
      drop(fid)
      throw error
    }
  }

  async READ({ in: { fh, offset, size } }: R<'READ'>, flight: Flight) {
    const data = await this.#handle(fh).fid.read(offset, size, flight.signal)
    return data.length > size ? data.subarray(0, size) : data
  }

  async WRITE({ in: { fh, offset, size, data } }: R<'WRITE'>, flight: Flight) {
    // the buffer is read into again as soon as this waits
    return { size: await this.#handle(fh).fid.write(offset, data.slice(0, size), flight.signal) }
  }

  /** What can still fail fails here, at close(2): RELEASE's outcome reaches nobody. It submits nothing (namespace.md, data 2). */
  FLUSH({ in: { fh } }: R<'FLUSH'>, flight: Flight): A<'FLUSH'> {
    const { fid, writes } = this.#handle(fh)
    if (writes) return fid.sync(flight.signal)
  }

  FSYNC({ in: { fh } }: R<'FSYNC'>, flight: Flight): A<'FSYNC'> {
    const { fid, writes } = this.#handle(fh)
    if (writes) return fid.sync(flight.signal)
  }

  FSYNCDIR(): void {}

  /** The last close. The Tclunk leaves now, in its place among the requests; nobody needs to wait for its Rclunk. */
  RELEASE({ in: { fh } }: { in: { fh: number } }): void {
    const handle = this.#handles.get(fh)
    this.#handles.delete(fh)
    if (handle) drop(handle.fid)
  }

  RELEASEDIR(request: R<'RELEASEDIR'>): void {
    this.RELEASE(request)
  }

  async OPENDIR({ header: { nodeid, uid } }: R<'OPENDIR'>, flight: Flight) {
    const fid = await (await this.#fid(this.nodes.get(nodeid), uid, flight)).walk([], flight.signal)
    return this.#open(fid, OREAD, flight)
  }

  READDIR(request: R<'READDIR'>, flight: Flight): A<'READDIR'> {
    return this.#list(request, flight)
  }

  READDIRPLUS(request: R<'READDIRPLUS'>, flight: Flight): A<'READDIRPLUS'> {
    return this.#list(request, flight, (parent, stat) => ({
      nodeid: this.nodes.lookup(parent, stat.name, stat.qid).id,
      entry_valid: this.#valid,
      attr_valid: this.#valid,
      ...unixStat(stat, this.owner),
    }))
  }

  async MKDIR({ header: { nodeid, uid }, in: { name, mode } }: R<'MKDIR'>, flight: Flight) {
    const parent = this.nodes.get(nodeid)
    const at = await this.#fid(parent, uid, flight)
    const made = await at.walk([], flight.signal)
    try {
      await made.create(name, (DMDIR | (mode & 0o777)) >>> 0, OREAD, flight.signal)
    } finally {
      drop(made)
    }
    return this.#entry(parent, name, uid, at, flight)
  }

  async UNLINK({ header: { nodeid, uid }, in: { name } }: R<'UNLINK'> | R<'RMDIR'>, flight: Flight) {
    const parent = this.nodes.get(nodeid)
    const fid = await (await this.#fid(parent, uid, flight)).walk([name], flight.signal)
    await fid.remove()
    const node = parent.children.get(name)
    if (node) this.nodes.detach(node)
  }

  RMDIR(request: R<'RMDIR'>, flight: Flight): Promise<void> {
    return this.UNLINK(request, flight)
  }

  RENAME({ header, in: { newdir, oldname, newname } }: R<'RENAME'>, flight: Flight): Promise<void> {
    return this.#rename(header, newdir, oldname, newname, flight)
  }

  RENAME2({ header, in: { newdir, flags, oldname, newname } }: R<'RENAME2'>, flight: Flight): Promise<void> {
    if (flags & ~k.RENAME_NOREPLACE) throw fail('badArgument', 'names can not be exchanged')
    return this.#rename(header, newdir, oldname, newname, flight)
  }

  /** There is no such count in 9P: zeros, as /proc has them, so that df and stat -f work. */
  STATFS(): k.Answer<'STATFS'> {
    return { bsize: k.PAGE, frsize: k.PAGE, namelen: 255 }
  }

  async ACCESS({ header: { nodeid, uid }, in: { mask } }: R<'ACCESS'>, flight: Flight) {
    const stat = await (await this.#fid(this.nodes.get(nodeid), uid, flight)).stat(flight.signal)
    if (!permits(unixStat(stat, this.owner), uid, mask)) throw fail('permission')
  }

  #handle(fh: number): Handle {
    const handle = this.#handles.get(fh)
    if (!handle) throw fail('unknownFid')
    return handle
  }

  #root(uid: number): Fid | Promise<Fid> {
    return this.link.root(uid)
  }

  /** A fid of this user's at a node, to walk from or ask; not to open. */
  async #fid(node: Node, uid: number, flight: Flight): Promise<Fid> {
    if (node === this.nodes.root) return this.#root(uid)
    const kept = this.nodes.kept(node, uid, this.link.client)
    if (kept) return kept
    return this.nodes.keep(node, uid, await (await this.#root(uid)).walk(node.path, flight.signal))
  }

  /** The answer that makes the file of a name known, looked up from its directory. */
  async #entry(parent: Node, name: string, uid: number, from: Fid, flight: Flight): Promise<k.Answer<'LOOKUP'>> {
    const { fid, stat } = await from.look([name], flight.signal)
    if (flight.answered) {
      drop(fid)
      throw fail('interrupted')
    }
    const node = this.nodes.lookup(parent, name, stat.qid)
    this.nodes.keep(node, uid, fid)
    return { nodeid: node.id, ...this.#attributes(stat) }
  }

  #attributes(stat: Stat) {
    return { ...unixStat(stat, this.owner), attr_valid_nsec: INSTANT_NS }
  }

  async #open(fid: Fid, mode: number, flight: Flight): Promise<k.Answer<'OPEN'>> {
    try {
      await fid.open(mode, flight.signal)
      if (flight.answered) throw fail('interrupted')
    } catch (error) {
      drop(fid)
      throw error
    }
    return this.#opened(fid, mode)
  }

  /**
   * Direct I/O always: the kernel then believes no size, a read(2) is one READ and gets what there is. No FLUSH where nothing
   * was written; other flags (nonseekable, stream) would lose offsets that the data rule needs.
   */
  #opened(fid: Fid, mode: number): k.Answer<'OPEN'> {
    const fh = ++this.#last
    const writes = (mode & 3) === OWRITE || (mode & 3) === ORDWR
    this.#handles.set(fh, { fid, writes })
    return { fh, open_flags: k.FOPEN_DIRECT_IO | k.FOPEN_PARALLEL_DIRECT_WRITES | (writes ? 0 : k.FOPEN_NOFLUSH) }
  }

  /**
   * Entries from `offset` on, as many as fit: `.`, `..`, then the listing that was taken when offset 0 was last asked for, so
   * that entries which come and go meanwhile tear nothing.
   */
  async #list(
    { header: { nodeid }, in: { fh, offset, size } }: R<'READDIR'> | R<'READDIRPLUS'>,
    flight: Flight,
    plus?: (parent: Node, stat: Stat) => k.Reply<typeof k.entry>,
  ): Promise<Uint8Array> {
    const node = this.nodes.get(nodeid)
    const handle = this.#handle(fh)
    if (offset === 0 || !handle.entries) handle.entries = await handle.fid.list(flight.signal)
    const { entries } = handle
    if (flight.answered) throw fail('interrupted')
    const parts: Uint8Array[] = []
    let length = 0
    for (let off = offset; ; ) {
      const stat = off < 2 ? undefined : entries[off - 2]
      if (off >= 2 && !stat) break
      const name = stat?.name ?? (off === 0 ? '.' : '..')
      const ino = stat ? stat.qid.path : (off === 0 ? node : (node.parent ?? node)).qid.path
      const dirent = { ino, off: off + 1, type: stat ? direntType(stat) : direntType({ mode: DMDIR } as Stat), name }
      if (length + k.direntSize(name, plus !== undefined) > size) break
      // `.` and `..` are no lookups: node 0
      const part = k.encodeDirent(dirent, plus && (stat ? plus(node, stat) : {}))
      parts.push(part)
      length += part.length
      off++
    }
    return Buffer.concat(parts, length)
  }

  /** 9P renames by wstat, so within one directory. */
  async #rename({ nodeid, uid }: k.Header, newdir: number, oldname: string, newname: string, flight: Flight) {
    if (newdir !== nodeid) throw fail('crossDevice')
    const parent = this.nodes.get(nodeid)
    const fid = await (await this.#fid(parent, uid, flight)).walk([oldname], flight.signal)
    try {
      await fid.wstat({ name: newname }, flight.signal)
    } finally {
      drop(fid)
    }
    const node = parent.children.get(oldname)
    if (node) this.nodes.rename(node, newname)
  }
}
