import type { Fid } from '../../fs/client.js'
import * as linux from '../../fs/client-linux.js'
import { fail } from '../../fs/errors.js'
import { IOHDRSZ } from '../../fs/limits.js'
import { DMDIR, ORDWR, OREAD, OWRITE, QTDIR, type Stat } from '../../fs/protocol.js'
import { direntType, linuxStat, type Owner, openMode, permits, type UnixStat, unixStat } from '../attributes.js'
import type { Link } from '../link.js'
import type { Flight } from './flight.js'
import { Handle } from './handle.js'
import { drop, type Node, Nodes } from './nodes.js'
import * as k from './protocol.js'
import { Shares } from './shares.js'

type R<K extends k.Operation> = k.Request<K>
type A<K extends k.Operation> = k.Answer<K> | Promise<k.Answer<K>>
type Handlers = { [K in k.Operation]?: (r: R<K>, flight: Flight) => A<K> }

/** Background requests the kernel may have out. RELEASE is one: were it held back, a close could come after the next open. */
const MAX_BACKGROUND = 0xffff
/** A second in ns: as fine as times are but in 9P2000.L. */
const NS = 1_000_000_000
/** The kernel rounds this up to its next tick, some ms: the call that looked a name up need not ask for its attributes once more. */
const INSTANT_NS = 1
const encoder = new TextEncoder()

/**
 * The kernel's operations as 9P: what each one sends is in its body, everything about reading and answering in loop.ts.
 *
 * Where only one user can look, and files are none of another system's (9P2000.L), the kernel keeps names for a second, as most
 * FUSE file systems have it. It hardly shows: every operation goes to the server by the path, and finds there what the name
 * means now. Attributes hold for the kernel's tick, a listing's for that second. What only 9P2000.L has a message for (links,
 * owners, moves between directories) is refused elsewhere.
 */
export class Driver implements Handlers {
  #handles = new Map<number, Handle>()
  #last = 0
  readonly #shares: Shares
  readonly nodes: Nodes
  /** Bytes in one WRITE at most: a whole number of pages that one Twrite can carry. */
  readonly maxWrite: number
  /** How long names hold, and a listing's attributes, in s. */
  #valid: number
  #linux: boolean
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
    this.#shares = new Shares(uid => !shared || uid === 0 || uid === owner.uid)
    this.#linux = root.linux
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
      k.INIT_EXT |
      // 9P2000.L lists names without attributes
      (this.shared || this.#linux ? 0 : k.DO_READDIRPLUS | k.READDIRPLUS_AUTO)
    // after the answer has gone out
    setImmediate(() => this.onready())
    return {
      major,
      minor: Math.min(minor, kernel.minor),
      max_readahead: kernel.max_readahead,
      flags: kernel.flags & want,
      flags2: kernel.flags2 & k.DIRECT_IO_ALLOW_MMAP,
      max_background: MAX_BACKGROUND,
      congestion_threshold: MAX_BACKGROUND,
      max_write: this.maxWrite,
      // one more: a buffer that does not begin on a page touches one more
      max_pages: this.maxWrite / k.PAGE + 1,
      time_gran: this.#linux ? 1 : NS,
    }
  }

  DESTROY(): void {}

  async LOOKUP({ header: { nodeid, uid }, in: { name } }: R<'LOOKUP'>, flight: Flight) {
    const parent = this.nodes.get(nodeid)
    return this.#entry(parent, name, uid, await this.#fid(parent, uid, flight), flight)
  }

  async GETATTR({ header: { nodeid, uid }, in: { getattr_flags, fh } }: R<'GETATTR'>, flight: Flight) {
    const node = this.nodes.get(nodeid)
    const handle = getattr_flags & k.GETATTR_FH ? this.#handle(fh) : undefined
    const opened = this.#asks(node, handle)
    if (!opened && !this.#linux) {
      const read = await this.#read(node, uid, flight)
      if (read) return (node.stat = read)
      const { fid, answer } = await this.#ask(node, uid, fid => this.#stat(fid, flight), flight)
      drop(fid)
      return (node.stat = answer)
    }
    const fid = opened ?? (await this.#fid(node, uid, flight))
    if (node.removed && fid.linux && node.stat && !(await this.#still(node, fid, flight)))
      return { ...node.stat, nlink: 0 }
    return (node.stat = await this.#stat(fid, flight))
  }

  /** Where 9P2000.L is not spoken a file keeps its owner, as 9P has no chown; access times are accepted and ignored. */
  async SETATTR({ header: { nodeid, uid }, in: to }: R<'SETATTR'>, flight: Flight) {
    const node = this.nodes.get(nodeid)
    const opened = this.#asks(node, to.valid & k.FATTR_FH ? this.#handle(to.fh) : undefined)
    // a fid of its own: a server may refuse others' questions on one that is being changed
    const fid = opened ?? (await this.#walk(node, uid, flight))
    try {
      if (fid.linux) {
        if (node.removed && !(await this.#still(node, fid, flight))) throw fail('notFound')
        await linux.setattr(fid, linuxChanges(to), flight.signal)
        return (node.stat = await this.#stat(fid, flight))
      }
      if (to.valid & (k.FATTR_UID | k.FATTR_GID)) {
        const { uid: owner, gid } = await this.#stat(fid, flight)
        if ((to.valid & k.FATTR_UID && to.uid !== owner) || (to.valid & k.FATTR_GID && to.gid !== gid))
          throw fail('notPermitted', 'a file keeps its owner')
      }
      const changes: Partial<Stat> = {}
      if (to.valid & k.FATTR_SIZE) changes.length = BigInt(to.size)
      if (to.valid & k.FATTR_MODE) changes.mode = ((to.mode & 0o777) | (fid.qid.type & QTDIR ? DMDIR : 0)) >>> 0
      if (to.valid & k.FATTR_MTIME)
        changes.mtime = to.valid & k.FATTR_MTIME_NOW ? Math.floor(Date.now() / 1000) : Math.max(0, to.mtime) % 2 ** 32
      if (Object.keys(changes).length > 0) await fid.wstat(changes, flight.signal)
      return await this.#stat(fid, flight)
    } finally {
      if (!opened) drop(fid)
    }
  }

  async READLINK({ header: { nodeid, uid } }: R<'READLINK'>, flight: Flight) {
    return encoder.encode(await linux.readlink(await this.#fid(this.nodes.get(nodeid), uid, flight), flight.signal))
  }

  SYMLINK({ header, in: { name, target } }: R<'SYMLINK'>, flight: Flight) {
    return this.#made(header, name, flight, dir => linux.symlink(dir, name, target, flight.signal, header.gid))
  }

  MKNOD({ header, in: { name, mode, rdev } }: R<'MKNOD'>, flight: Flight) {
    // as the kernel's new_encode_dev puts them together
    const device = { major: (rdev >>> 8) & 0xfff, minor: (rdev & 0xff) | ((rdev >>> 12) & 0xfff00) }
    return this.#made(header, name, flight, dir => linux.mknod(dir, name, mode, device, flight.signal, header.gid))
  }

  LINK({ header, in: { oldnodeid, name } }: R<'LINK'>, flight: Flight) {
    return this.#made(header, name, flight, async dir =>
      linux.link(dir, await this.#fid(this.nodes.get(oldnodeid), header.uid, flight), name, flight.signal),
    )
  }

  OPEN(request: R<'OPEN'>, flight: Flight) {
    return this.#counted(request.header.uid, () => this.#openFile(request, flight))
  }

  async #openFile({ header: { nodeid, uid }, in: { flags } }: R<'OPEN'>, flight: Flight) {
    const node = this.nodes.get(nodeid)
    if (!this.#linux) {
      // by its path: what the kernel looked up a second ago may be another file by now
      const mode = openMode(flags)
      const { fid } = await this.#ask(node, uid, fid => fid.open(mode, flight.signal), flight)
      return this.#opened(node, fid, mode, uid)
    }
    // the fid that the lookup just before has walked becomes the open one
    const fid = this.nodes.take(node, uid, this.link.client) ?? (await this.#walk(node, uid, flight))
    return this.#open(node, fid, openMode(flags, true), uid, flight)
  }

  CREATE(request: R<'CREATE'>, flight: Flight) {
    return this.#counted(request.header.uid, () => this.#create(request, flight))
  }

  async #create({ header: { nodeid, uid, gid }, in: { name, flags, mode } }: R<'CREATE'>, flight: Flight) {
    const parent = this.nodes.get(nodeid)
    const fid = await (await this.#fid(parent, uid, flight)).walk([], flight.signal)
    try {
      await fid.create(name, mode & 0o7777, openMode(flags, fid.linux), flight.signal, gid)
      const stat = await this.#stat(fid, flight)
      if (flight.answered) throw fail('interrupted')
      const node = this.nodes.lookup(parent, name, fid.qid)
      node.stat = stat
      return { nodeid: node.id, ...stat, ...this.#opened(node, fid, openMode(flags), uid) }
    } catch (error) {
      drop(fid)
      throw error
    }
  }

  READ({ in: { fh, offset, size, flags } }: R<'READ'>, flight: Flight) {
    return this.#handle(fh).read(offset, size, (flags & k.O_NONBLOCK) !== 0, flight.signal)
  }

  async WRITE({ in: { fh, offset, size, data } }: R<'WRITE'>, flight: Flight) {
    // the buffer is read into again as soon as this waits
    const { fid, node } = this.#handle(fh)
    const written = await fid.write(offset, data.slice(0, size), flight.signal)
    const end = BigInt(offset + written)
    if (node.removed && node.stat && end > node.stat.size) node.stat.size = end
    return { size: written }
  }

  /** What can still fail fails here, at close(2): RELEASE's outcome reaches nobody. It submits nothing (namespace.md, data 2). */
  FLUSH({ in: { fh } }: R<'FLUSH'>, flight: Flight): A<'FLUSH'> {
    const { fid, writes } = this.#handle(fh)
    if (writes) return fid.finish(flight.signal)
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
    if (!handle) return
    handle.node.handles.delete(handle)
    this.#shares.give(handle.uid)
    drop(handle.fid)
  }

  RELEASEDIR(request: R<'RELEASEDIR'>): void {
    this.RELEASE(request)
  }

  OPENDIR(request: R<'OPENDIR'>, flight: Flight) {
    return this.#counted(request.header.uid, () => this.#openDirectory(request, flight))
  }

  async #openDirectory({ header: { nodeid, uid } }: R<'OPENDIR'>, flight: Flight) {
    const node = this.nodes.get(nodeid)
    const fid = await (await this.#fid(node, uid, flight)).walk([], flight.signal)
    return this.#open(node, fid, OREAD, uid, flight)
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

  MKDIR({ header, in: { name, mode } }: R<'MKDIR'>, flight: Flight) {
    return this.#made(header, name, flight, async dir => {
      const made = await dir.walk([], flight.signal)
      try {
        await made.create(name, (DMDIR | (mode & 0o7777)) >>> 0, OREAD, flight.signal, header.gid)
      } finally {
        drop(made)
      }
    })
  }

  async UNLINK({ header: { nodeid, uid }, in: { name } }: R<'UNLINK'> | R<'RMDIR'>, flight: Flight) {
    const parent = this.nodes.get(nodeid)
    const fid = await (await this.#fid(parent, uid, flight)).walk([name], flight.signal)
    await fid.remove()
    this.nodes.remove(parent.children.get(name))
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

  /** There is no such count in 9P but in 9P2000.L: zeros, as /proc has them, so that df and stat -f work. */
  async STATFS({ header: { uid } }: R<'STATFS'>, flight: Flight): Promise<k.Answer<'STATFS'>> {
    if (!this.#linux) return { bsize: k.PAGE, frsize: k.PAGE, namelen: 255 }
    const { bsize, blocks, bfree, bavail, files, ffree, namelen } = await linux.statfs(
      await this.#root(uid),
      flight.signal,
    )
    return { bsize, frsize: bsize, blocks, bfree, bavail, files, ffree, namelen }
  }

  async ACCESS({ header: { nodeid, uid }, in: { mask } }: R<'ACCESS'>, flight: Flight) {
    const { fid, answer } = await this.#ask(this.nodes.get(nodeid), uid, fid => this.#stat(fid, flight), flight)
    drop(fid)
    if (!permits(answer, uid, mask)) throw fail('permission')
  }

  #handle(fh: number): Handle {
    const handle = this.#handles.get(fh)
    if (!handle) throw fail('unknownFid')
    return handle
  }

  async #stat(fid: Fid, flight: Flight): Promise<UnixStat & { attr_valid_nsec: number }> {
    const stat = fid.linux
      ? linuxStat(await linux.getattr(fid, flight.signal))
      : unixStat(await fid.stat(flight.signal), this.owner)
    return { ...stat, attr_valid_nsec: INSTANT_NS }
  }

  /** Whether an open fid of a removed file is of that file yet: diod's stands for the path, and so perhaps for what came after. */
  #still(node: Node, fid: Fid, flight: Flight): Promise<boolean> {
    return linux.getattr(fid, flight.signal).then(
      ({ qid }) => qid.path === node.qid.path,
      () => false,
    )
  }

  /**
   * The open fid to ask about a file, if it is to be that: of a removed file any, else the one the kernel names. But not in
   * 9P2000.L, where the kernel's is as good as the path and diod's does not know that the file was renamed.
   */
  #asks(node: Node, named: Handle | undefined): Fid | undefined {
    if (node.removed) return (named ?? [...node.handles][0])?.fid
    return named?.fid.linux ? undefined : named?.fid
  }

  /**
   * The stat of a file that this user reads, by what they opened last. The content of that open may be another than that of the next
   * (`status`), and the kernel does not say that fstat(2) asks: a program that takes the length for how much there is to read (tar,
   * rsync, sendfile) is to have the length of what it reads.
   */
  async #read(node: Node, uid: number, flight: Flight) {
    const reading = [...node.handles].findLast(handle => handle.uid === uid && !handle.writes)
    if (!reading || reading.fid.qid.type & QTDIR) return undefined
    return this.#stat(reading.fid, flight).catch(error => {
      if (flight.signal.aborted) throw error
      return undefined
    })
  }

  #root(uid: number): Fid | Promise<Fid> {
    return this.link.root(uid)
  }

  /** A fid of this user's at a node, to walk from or ask; not to open. */
  async #fid(node: Node, uid: number, flight: Flight): Promise<Fid> {
    if (node === this.nodes.root) return this.#root(uid)
    if (node.removed) throw fail('notFound')
    const kept = this.nodes.kept(node, uid, this.link.client)
    if (kept) return kept
    return this.nodes.keep(node, uid, await (await this.#root(uid)).walk(node.path, flight.signal))
  }

  /** A fid of its own at a node. */
  async #walk(node: Node, uid: number, flight: Flight): Promise<Fid> {
    if (node.removed) throw fail('notFound')
    return (await this.#root(uid)).walk(node.path, flight.signal)
  }

  /** Walks to a node by its path, as it is now, and asks. The fid is the caller's. */
  async #ask<T>(node: Node, uid: number, question: (fid: Fid) => Promise<T>, flight: Flight) {
    if (node.removed) throw fail('notFound')
    const asked = await (await this.#root(uid)).ask(node.path, question, flight.signal)
    if (!flight.answered) return asked
    drop(asked.fid)
    throw fail('interrupted')
  }

  /** The answer that makes the file of a name known, looked up from its directory. */
  async #entry(parent: Node, name: string, uid: number, from: Fid, flight: Flight): Promise<k.Answer<'LOOKUP'>> {
    const { fid, answer } = await from.ask([name], fid => this.#stat(fid, flight), flight.signal)
    if (flight.answered) {
      drop(fid)
      throw fail('interrupted')
    }
    const node = this.nodes.lookup(parent, name, fid.qid)
    node.stat = answer
    // to walk on from; in 9P2000.L to be opened, too
    if (this.#linux || fid.qid.type & QTDIR) this.nodes.keep(node, uid, fid)
    else drop(fid)
    return { nodeid: node.id, entry_valid: this.#linux ? 0 : this.#valid, ...answer }
  }

  /** Makes something of that name in a directory and answers with it. */
  async #made({ nodeid, uid }: k.Header, name: string, flight: Flight, make: (dir: Fid) => Promise<unknown>) {
    const parent = this.nodes.get(nodeid)
    const dir = await this.#fid(parent, uid, flight)
    await make(dir)
    return this.#entry(parent, name, uid, dir, flight)
  }

  /** Opens something within a user's share of the connection. */
  async #counted<T>(uid: number, open: () => Promise<T>): Promise<T> {
    this.#shares.take(uid)
    try {
      return await open()
    } catch (error) {
      this.#shares.give(uid)
      throw error
    }
  }

  async #open(node: Node, fid: Fid, mode: number, uid: number, flight: Flight): Promise<k.Answer<'OPEN'>> {
    try {
      await fid.open(mode, flight.signal)
      if (flight.answered) throw fail('interrupted')
    } catch (error) {
      drop(fid)
      throw error
    }
    return this.#opened(node, fid, mode, uid)
  }

  /**
   * Direct I/O always: the kernel then believes no size, a read(2) is one READ and gets what there is. No FLUSH where nothing
   * was written; other flags (nonseekable, stream) would lose offsets that the data rule needs.
   */
  #opened(node: Node, fid: Fid, mode: number, uid: number): k.Answer<'OPEN'> {
    const fh = ++this.#last
    const writes = (mode & 3) === OWRITE || (mode & 3) === ORDWR
    this.#handles.set(fh, new Handle(fid, node, writes, uid))
    return {
      fh,
      open_flags: k.FOPEN_DIRECT_IO | k.FOPEN_PARALLEL_DIRECT_WRITES | (writes && !fid.linux ? 0 : k.FOPEN_NOFLUSH),
    }
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

  /** 9P renames by wstat, so within one directory; 9P2000.L as rename(2) does. */
  async #rename({ nodeid, uid }: k.Header, newdir: number, oldname: string, newname: string, flight: Flight) {
    const parent = this.nodes.get(nodeid)
    const into = this.nodes.get(newdir)
    const from = await this.#fid(parent, uid, flight)
    if (into !== parent && !from.linux) throw fail('crossDevice')
    const fid = await from.walk([oldname], flight.signal)
    try {
      if (fid.linux) await linux.rename(fid, await this.#fid(into, uid, flight), newname, flight.signal)
      else await fid.wstat({ name: newname }, flight.signal)
    } finally {
      drop(fid)
    }
    const node = parent.children.get(oldname)
    if (node) this.nodes.rename(node, into, newname)
    else this.nodes.remove(into.children.get(newname))
  }
}

/** A SETATTR as Tsetattr has it. */
function linuxChanges(to: R<'SETATTR'>['in']) {
  const { SET } = linux
  const bits = [
    [k.FATTR_MODE, SET.MODE],
    [k.FATTR_UID, SET.UID],
    [k.FATTR_GID, SET.GID],
    [k.FATTR_SIZE, SET.SIZE],
    [k.FATTR_ATIME, to.valid & k.FATTR_ATIME_NOW ? SET.ATIME : SET.ATIME | SET.ATIME_SET],
    [k.FATTR_MTIME, to.valid & k.FATTR_MTIME_NOW ? SET.MTIME : SET.MTIME | SET.MTIME_SET],
  ] as const
  let valid = 0
  for (const [mine, theirs] of bits) if (to.valid & mine) valid |= theirs
  return {
    valid,
    mode: to.mode & 0o7777,
    uid: to.uid,
    gid: to.gid,
    size: BigInt(to.size),
    atime_sec: BigInt(to.atime),
    atime_nsec: BigInt(to.atimensec),
    mtime_sec: BigInt(to.mtime),
    mtime_nsec: BigInt(to.mtimensec),
  }
}
