/** Translates the kernel's FUSE operations to 9P. */

import { fail } from '../../fs/base/errors.js'
import { IOHDRSZ } from '../../fs/base/limits.js'
import type { Fid } from '../../fs/client/client.js'
import * as linux from '../../fs/client/linux.js'
import { DMDIR, ORDWR, OREAD, OWRITE, QTDIR, type Stat } from '../../fs/wire/protocol.js'
import { direntType, linuxStat, type Owner, openMode, permits, type UnixStat, unixStat } from '../attributes.js'
import type { Link } from '../link.js'
import { Handle } from './handle.js'
import { drop, type Node, Nodes } from './nodes.js'
import * as k from './protocol.js'
import type { FuseRequest } from './request.js'
import { Shares } from './shares.js'

type R<K extends k.Operation> = k.Request<K>
type A<K extends k.Operation> = k.Answer<K> | Promise<k.Answer<K>>
type Handlers = { [K in k.Operation]?: (r: R<K>, flight: FuseRequest) => A<K> }

/**
 * Background requests that the kernel may have outstanding. RELEASE is one of them: if the kernel held it back, a close
 * could arrive after the next open.
 */
const MAX_BACKGROUND = 0xffff
/** A second in ns: the resolution of times in every dialect except 9P2000.L. */
const NS = 1_000_000_000
/**
 * How long attributes are valid, in ns. The kernel rounds this up to its next tick, some ms, so the system call that
 * looked a name up does not ask for the attributes again.
 */
const INSTANT_NS = 1
const encoder = new TextEncoder()

/**
 * Handles each of the kernel's operations with 9P requests. The reading of requests and the writing of replies are in
 * loop.ts.
 *
 * On a mount that is not shared, of a server that does not speak 9P2000.L, the kernel caches names for a second, as
 * with most FUSE file systems. Programs hardly notice: every operation goes to the server by the file's path, and finds
 * the file that the name stands for now. Attributes are valid until the kernel's next tick; those from a listing, for
 * that second. Operations for which only 9P2000.L has a message (links, owners, moves between directories) fail in the
 * other dialects.
 */
export class Driver implements Handlers {
  #handles = new Map<number, Handle>()
  #last = 0
  readonly #shares: Shares
  readonly nodes: Nodes
  /** Bytes in one WRITE at most: a whole number of pages that one Twrite can carry. */
  readonly maxWrite: number
  /** How long names, and attributes from a listing, are valid, in s. */
  #valid: number
  #linux: boolean
  /** Called when the kernel has sent its INIT: the mount is up. */
  onready: () => void = () => {}

  /**
   * @param root the mounting user's root, attached
   * @param owner the owner of files whose owner the server gives no number for
   * @param shared other users may use the mount (allow_other)
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

  /** Handles one request. @returns its answer, or a promise of it @throws FsError with the errno to answer with */
  handle(request: k.Request, flight: FuseRequest): any {
    const handler = this[request.op as keyof this] as unknown as
      | ((r: k.Request, flight: FuseRequest) => unknown)
      | undefined
    if (!handler) throw fail('noSuchCall')
    return handler.call(this, request, flight)
  }

  /** Whether a request is still handled while the mount is being stopped: those that do not wait for the server. */
  local(request: k.Request): boolean {
    if (request.op === 'STATFS') return !this.#linux
    return ['INIT', 'DESTROY', 'RELEASE', 'RELEASEDIR'].includes(request.op)
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
    // deferred until the answer has been written
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
      // one more, because a buffer that does not begin at a page boundary touches one page more
      max_pages: this.maxWrite / k.PAGE + 1,
      time_gran: this.#linux ? 1 : NS,
    }
  }

  DESTROY(): void {}

  async LOOKUP({ header: { nodeid, uid }, in: { name } }: R<'LOOKUP'>, flight: FuseRequest) {
    const parent = this.nodes.get(nodeid)
    return this.#entry(parent, name, uid, await this.#fid(parent, uid, flight), flight)
  }

  async GETATTR({ header: { nodeid, uid }, in: { getattr_flags, fh } }: R<'GETATTR'>, flight: FuseRequest) {
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

  /** Outside 9P2000.L a file keeps its owner, because 9P has no chown; access times are accepted and ignored. */
  async SETATTR({ header: { nodeid, uid }, in: to }: R<'SETATTR'>, flight: FuseRequest) {
    const node = this.nodes.get(nodeid)
    const opened = this.#asks(node, to.valid & k.FATTR_FH ? this.#handle(to.fh) : undefined)
    // on a fid of its own: a server may refuse other requests on a fid that is being changed
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
          throw fail('notPermitted', 'the owner of a file cannot be changed')
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

  async READLINK({ header: { nodeid, uid } }: R<'READLINK'>, flight: FuseRequest) {
    return encoder.encode(await linux.readlink(await this.#fid(this.nodes.get(nodeid), uid, flight), flight.signal))
  }

  SYMLINK({ header, in: { name, target } }: R<'SYMLINK'>, flight: FuseRequest) {
    return this.#made(header, name, flight, dir => linux.symlink(dir, name, target, flight.signal, header.gid))
  }

  MKNOD({ header, in: { name, mode, rdev } }: R<'MKNOD'>, flight: FuseRequest) {
    // the inverse of the kernel's new_encode_dev
    const device = { major: (rdev >>> 8) & 0xfff, minor: (rdev & 0xff) | ((rdev >>> 12) & 0xfff00) }
    return this.#made(header, name, flight, dir => linux.mknod(dir, name, mode, device, flight.signal, header.gid))
  }

  LINK({ header, in: { oldnodeid, name } }: R<'LINK'>, flight: FuseRequest) {
    return this.#made(header, name, flight, async dir =>
      linux.link(dir, await this.#fid(this.nodes.get(oldnodeid), header.uid, flight), name, flight.signal),
    )
  }

  OPEN(request: R<'OPEN'>, flight: FuseRequest) {
    return this.#counted(request.header.uid, () => this.#openFile(request, flight))
  }

  async #openFile({ header: { nodeid, uid }, in: { flags } }: R<'OPEN'>, flight: FuseRequest) {
    const node = this.nodes.get(nodeid)
    if (!this.#linux) {
      // by the path: the name that the kernel looked up a second ago may stand for another file by now
      const mode = openMode(flags)
      const { fid } = await this.#ask(node, uid, fid => fid.open(mode, flight.signal), flight)
      return this.#opened(node, fid, mode, uid)
    }
    // the fid that the preceding lookup walked is the one to open
    const fid = this.nodes.take(node, uid, this.link.client) ?? (await this.#walk(node, uid, flight))
    return this.#open(node, fid, openMode(flags, true), uid, flight)
  }

  CREATE(request: R<'CREATE'>, flight: FuseRequest) {
    return this.#counted(request.header.uid, () => this.#create(request, flight))
  }

  async #create({ header: { nodeid, uid, gid }, in: { name, flags, mode } }: R<'CREATE'>, flight: FuseRequest) {
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

  READ({ in: { fh, offset, size, flags } }: R<'READ'>, flight: FuseRequest) {
    return this.#handle(fh).read(offset, size, (flags & k.O_NONBLOCK) !== 0, flight.signal)
  }

  async WRITE({ in: { fh, offset, size, data } }: R<'WRITE'>, flight: FuseRequest) {
    // the data is copied, because the loop reuses the buffer as soon as this waits
    const { fid, node } = this.#handle(fh)
    const written = await fid.write(offset, data.slice(0, size), flight.signal)
    const end = BigInt(offset + written)
    if (node.removed && node.stat && end > node.stat.size) node.stat.size = end
    return { size: written }
  }

  /**
   * Reports at close(2) what is wrong with the written file, because no program sees the outcome of RELEASE. It does
   * not submit a prompt: a descriptor may be closed more than once (dup(2)), and only the last close submits
   * (docs/files.md, data).
   */
  FLUSH({ in: { fh } }: R<'FLUSH'>, flight: FuseRequest): A<'FLUSH'> {
    const { fid, writes } = this.#handle(fh)
    if (writes) return fid.finish(flight.signal)
  }

  FSYNC({ in: { fh } }: R<'FSYNC'>, flight: FuseRequest): A<'FSYNC'> {
    const { fid, writes } = this.#handle(fh)
    if (writes) return fid.sync(flight.signal)
  }

  FSYNCDIR(): void {}

  /**
   * The last close. The Tclunk leaves now, in order with the other requests; the program does not wait for its Rclunk.
   */
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

  OPENDIR(request: R<'OPENDIR'>, flight: FuseRequest) {
    return this.#counted(request.header.uid, () => this.#openDirectory(request, flight))
  }

  async #openDirectory({ header: { nodeid, uid } }: R<'OPENDIR'>, flight: FuseRequest) {
    const node = this.nodes.get(nodeid)
    const fid = await (await this.#fid(node, uid, flight)).walk([], flight.signal)
    return this.#open(node, fid, OREAD, uid, flight)
  }

  READDIR(request: R<'READDIR'>, flight: FuseRequest): A<'READDIR'> {
    return this.#list(request, flight)
  }

  READDIRPLUS(request: R<'READDIRPLUS'>, flight: FuseRequest): A<'READDIRPLUS'> {
    return this.#list(request, flight, (parent, stat) => ({
      nodeid: this.nodes.lookup(parent, stat.name, stat.qid).id,
      entry_valid: this.#valid,
      attr_valid: this.#valid,
      ...unixStat(stat, this.owner),
    }))
  }

  MKDIR({ header, in: { name, mode } }: R<'MKDIR'>, flight: FuseRequest) {
    return this.#made(header, name, flight, async dir => {
      const made = await dir.walk([], flight.signal)
      try {
        await made.create(name, (DMDIR | (mode & 0o7777)) >>> 0, OREAD, flight.signal, header.gid)
      } finally {
        drop(made)
      }
    })
  }

  async UNLINK({ header: { nodeid, uid }, in: { name } }: R<'UNLINK'> | R<'RMDIR'>, flight: FuseRequest) {
    const parent = this.nodes.get(nodeid)
    const fid = await (await this.#fid(parent, uid, flight)).walk([name], flight.signal)
    await fid.remove()
    this.nodes.remove(parent.children.get(name))
  }

  RMDIR(request: R<'RMDIR'>, flight: FuseRequest): Promise<void> {
    return this.UNLINK(request, flight)
  }

  RENAME({ header, in: { newdir, oldname, newname } }: R<'RENAME'>, flight: FuseRequest): Promise<void> {
    return this.#rename(header, newdir, oldname, newname, flight)
  }

  RENAME2({ header, in: { newdir, flags, oldname, newname } }: R<'RENAME2'>, flight: FuseRequest): Promise<void> {
    if (flags & ~k.RENAME_NOREPLACE) throw fail('badArgument', 'only RENAME_NOREPLACE is supported')
    return this.#rename(header, newdir, oldname, newname, flight)
  }

  /** Only 9P2000.L counts blocks and files. Other dialects get zeros, as /proc does, so that df and stat -f work. */
  async STATFS({ header: { uid } }: R<'STATFS'>, flight: FuseRequest): Promise<k.Answer<'STATFS'>> {
    if (!this.#linux) return { bsize: k.PAGE, frsize: k.PAGE, namelen: 255 }
    const { bsize, blocks, bfree, bavail, files, ffree, namelen } = await linux.statfs(
      await this.#root(uid),
      flight.signal,
    )
    return { bsize, frsize: bsize, blocks, bfree, bavail, files, ffree, namelen }
  }

  async ACCESS({ header: { nodeid, uid }, in: { mask } }: R<'ACCESS'>, flight: FuseRequest) {
    const { fid, answer } = await this.#ask(this.nodes.get(nodeid), uid, fid => this.#stat(fid, flight), flight)
    drop(fid)
    if (!permits(answer, uid, mask)) throw fail('permission')
  }

  #handle(fh: number): Handle {
    const handle = this.#handles.get(fh)
    if (!handle) throw fail('unknownFid')
    return handle
  }

  async #stat(fid: Fid, flight: FuseRequest): Promise<UnixStat & { attr_valid_nsec: number }> {
    const stat = fid.linux
      ? linuxStat(await linux.getattr(fid, flight.signal))
      : unixStat(await fid.stat(flight.signal), this.owner)
    return { ...stat, attr_valid_nsec: INSTANT_NS }
  }

  /**
   * Whether an open fid of a removed file still stands for that file. diod resolves the fid by its path, which may lead
   * to a newer file by now.
   */
  #still(node: Node, fid: Fid, flight: FuseRequest): Promise<boolean> {
    return linux.getattr(fid, flight.signal).then(
      ({ qid }) => qid.path === node.qid.path,
      () => false,
    )
  }

  /**
   * The open fid through which to ask for attributes, if one should be used: for a removed file any open fid, else the
   * one that the kernel names. In 9P2000.L the path is used unless the file is removed: it is as good as the kernel's
   * fid, and diod does not notice that the file of a fid was renamed.
   */
  #asks(node: Node, named: Handle | undefined): Fid | undefined {
    if (node.removed) return (named ?? [...node.handles][0])?.fid
    return named?.fid.linux ? undefined : named?.fid
  }

  /**
   * The attributes of a file that this user has open for reading, through the handle they opened last. Each open may
   * have other content than the next (`status`), and the kernel does not say which requests come from fstat(2). A
   * program that takes the length as the amount to read (tar, rsync, sendfile) must get the length of the content that
   * it reads.
   */
  async #read(node: Node, uid: number, flight: FuseRequest) {
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

  /** A kept fid of this user at a node, to walk from or to ask for attributes. The caller must not open or clunk it. */
  async #fid(node: Node, uid: number, flight: FuseRequest): Promise<Fid> {
    if (node === this.nodes.root) return this.#root(uid)
    if (node.removed) throw fail('notFound')
    const kept = this.nodes.kept(node, uid, this.link.client)
    if (kept) return kept
    return this.nodes.keep(node, uid, await (await this.#root(uid)).walk(node.path, flight.signal))
  }

  /** A new fid of this user at a node; it belongs to the caller. */
  async #walk(node: Node, uid: number, flight: FuseRequest): Promise<Fid> {
    if (node.removed) throw fail('notFound')
    return (await this.#root(uid)).walk(node.path, flight.signal)
  }

  /** Walks to a node by its current path and asks `question` there. The fid belongs to the caller. */
  async #ask<T>(node: Node, uid: number, question: (fid: Fid) => Promise<T>, flight: FuseRequest) {
    if (node.removed) throw fail('notFound')
    const asked = await (await this.#root(uid)).ask(node.path, question, flight.signal)
    if (!flight.answered) return asked
    drop(asked.fid)
    throw fail('interrupted')
  }

  /** Looks a name up in its directory and gives the file a node. @returns the answer to a LOOKUP */
  async #entry(parent: Node, name: string, uid: number, from: Fid, flight: FuseRequest): Promise<k.Answer<'LOOKUP'>> {
    const { fid, answer } = await from.ask([name], fid => this.#stat(fid, flight), flight.signal)
    if (flight.answered) {
      drop(fid)
      throw fail('interrupted')
    }
    const node = this.nodes.lookup(parent, name, fid.qid)
    node.stat = answer
    // kept to walk on from and, in 9P2000.L, to be opened
    if (this.#linux || fid.qid.type & QTDIR) this.nodes.keep(node, uid, fid)
    else drop(fid)
    return { nodeid: node.id, entry_valid: this.#linux ? 0 : this.#valid, ...answer }
  }

  /** Creates a file of any kind in a directory by `make`, and answers with its entry. */
  async #made({ nodeid, uid }: k.Header, name: string, flight: FuseRequest, make: (dir: Fid) => Promise<unknown>) {
    const parent = this.nodes.get(nodeid)
    const dir = await this.#fid(parent, uid, flight)
    await make(dir)
    return this.#entry(parent, name, uid, dir, flight)
  }

  /** Opens a file if the user's share of the connection allows one more. */
  async #counted<T>(uid: number, open: () => Promise<T>): Promise<T> {
    this.#shares.take(uid)
    try {
      return await open()
    } catch (error) {
      this.#shares.give(uid)
      throw error
    }
  }

  async #open(node: Node, fid: Fid, mode: number, uid: number, flight: FuseRequest): Promise<k.Answer<'OPEN'>> {
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
   * Registers an open file and answers its OPEN. The file always has direct I/O: the kernel then does not rely on a
   * size, and each read(2) is one READ that returns what is there. The kernel sends a FLUSH only for files opened for
   * writing, and not in 9P2000.L. The flags for nonseekable files and streams are not set, because the kernel would
   * then drop the offsets that reads of `data` depend on (docs/files.md, data).
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
   * Encodes the entries from `offset` on, as many as fit: `.`, `..`, then the listing that was taken when offset 0 was
   * last read. Entries that are added or removed meanwhile do not disturb a listing in progress.
   */
  async #list(
    { header: { nodeid }, in: { fh, offset, size } }: R<'READDIR'> | R<'READDIRPLUS'>,
    flight: FuseRequest,
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
      // `.` and `..` do not count as lookups, so their node is 0
      const part = k.encodeDirent(dirent, plus && (stat ? plus(node, stat) : {}))
      parts.push(part)
      length += part.length
      off++
    }
    return Buffer.concat(parts, length)
  }

  /** Renames as rename(2) does in 9P2000.L. Other dialects rename by wstat, which works only within one directory. */
  async #rename({ nodeid, uid }: k.Header, newdir: number, oldname: string, newname: string, flight: FuseRequest) {
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

/** Converts a SETATTR to the fields of a Tsetattr. */
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
