/** Translates the kernel's FUSE operations to 9P. */

import { fail } from '../../fs/base/errors.js'
import { IOHDRSZ } from '../../fs/base/limits.js'
import type { Fid } from '../../fs/client/client.js'
import * as linux from '../../fs/client/linux.js'
import { DMDIR, ORDWR, OREAD, OWRITE, QTDIR, type Stat } from '../../fs/wire/protocol.js'
import { direntType, type Owner, permits, type UnixStat, unixStat } from '../attributes.js'
import type { Link } from '../link.js'
import type { MountDialect } from './dialect.js'
import { Fids, opened } from './fids.js'
import { Handle } from './handle.js'
import { LinuxDialect } from './linux-dialect.js'
import { type Node, Nodes } from './nodes.js'
import { PlainDialect } from './plain-dialect.js'
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
 * that second. What differs between dialects is in plain-dialect.ts and linux-dialect.ts. Operations for which only
 * 9P2000.L has a message (links, owners, moves between directories) fail in the other dialects.
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
  readonly #fids: Fids
  readonly dialect: MountDialect
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
    this.#fids = new Fids(link, this.nodes)
    this.dialect =
      root.client.dialect === '9P2000.L' ? new LinuxDialect(this.#fids) : new PlainDialect(this.#fids, owner)
    this.maxWrite = Math.max(1, Math.floor((root.client.msize - IOHDRSZ) / k.PAGE)) * k.PAGE
    this.#valid = shared || !this.dialect.cachesNames ? 0 : 1
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
    if (request.op === 'STATFS') return !this.dialect.statfs
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
      (this.#valid === 0 ? 0 : k.DO_READDIRPLUS | k.READDIRPLUS_AUTO)
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
      time_gran: this.dialect.resolution_ns,
    }
  }

  DESTROY(): void {}

  async LOOKUP({ header: { nodeid, uid }, in: { name } }: R<'LOOKUP'>, flight: FuseRequest) {
    const parent = this.nodes.get(nodeid)
    return this.#entry(parent, name, uid, await this.#fids.kept(parent, uid, flight), flight)
  }

  async GETATTR({ header: { nodeid, uid }, in: { getattr_flags, fh } }: R<'GETATTR'>, flight: FuseRequest) {
    const node = this.nodes.get(nodeid)
    const named = getattr_flags & k.GETATTR_FH ? this.#handle(fh) : undefined
    return instant((node.stat = await this.dialect.attributes(node, named, uid, flight)))
  }

  async SETATTR({ header: { nodeid, uid }, in: to }: R<'SETATTR'>, flight: FuseRequest) {
    const node = this.nodes.get(nodeid)
    const open = this.dialect.changedThrough(node, to.valid & k.FATTR_FH ? this.#handle(to.fh) : undefined)
    // on a fid of its own: a server may refuse other requests on a fid that is being changed
    const fid = open ?? (await this.#fids.walk(node, uid, flight))
    try {
      await this.dialect.change(node, fid, to, flight)
      return instant((node.stat = await this.dialect.stat(fid, flight.signal)))
    } finally {
      if (!open) fid.drop()
    }
  }

  async READLINK({ header: { nodeid, uid } }: R<'READLINK'>, flight: FuseRequest) {
    return encoder.encode(
      await linux.readlink(await this.#fids.kept(this.nodes.get(nodeid), uid, flight), flight.signal),
    )
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
      linux.link(dir, await this.#fids.kept(this.nodes.get(oldnodeid), header.uid, flight), name, flight.signal),
    )
  }

  OPEN(request: R<'OPEN'>, flight: FuseRequest) {
    return this.#counted(request.header.uid, () => this.#openFile(request, flight))
  }

  async #openFile({ header: { nodeid, uid }, in: { flags } }: R<'OPEN'>, flight: FuseRequest) {
    const node = this.nodes.get(nodeid)
    return this.#opened(node, await this.dialect.open(node, flags, uid, flight), flags, uid)
  }

  CREATE(request: R<'CREATE'>, flight: FuseRequest) {
    return this.#counted(request.header.uid, () => this.#create(request, flight))
  }

  async #create({ header: { nodeid, uid, gid }, in: { name, flags, mode } }: R<'CREATE'>, flight: FuseRequest) {
    const parent = this.nodes.get(nodeid)
    const fid = await (await this.#fids.kept(parent, uid, flight)).walk([], flight.signal)
    try {
      await fid.create(name, mode & 0o7777, this.dialect.mode(flags), flight.signal, gid)
      const stat = await this.dialect.stat(fid, flight.signal)
      if (flight.answered) throw fail('interrupted')
      const node = this.nodes.lookup(parent, name, fid.qid)
      node.stat = stat
      return { nodeid: node.id, ...instant(stat), ...this.#opened(node, fid, flags, uid) }
    } catch (error) {
      fid.drop()
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
    handle.fid.drop()
  }

  RELEASEDIR(request: R<'RELEASEDIR'>): void {
    this.RELEASE(request)
  }

  OPENDIR(request: R<'OPENDIR'>, flight: FuseRequest) {
    return this.#counted(request.header.uid, () => this.#openDirectory(request, flight))
  }

  async #openDirectory({ header: { nodeid, uid } }: R<'OPENDIR'>, flight: FuseRequest) {
    const node = this.nodes.get(nodeid)
    const fid = await (await this.#fids.kept(node, uid, flight)).walk([], flight.signal)
    return this.#opened(node, await opened(fid, OREAD, flight), OREAD, uid)
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
        made.drop()
      }
    })
  }

  async UNLINK({ header: { nodeid, uid }, in: { name } }: R<'UNLINK'> | R<'RMDIR'>, flight: FuseRequest) {
    const parent = this.nodes.get(nodeid)
    const fid = await (await this.#fids.kept(parent, uid, flight)).walk([name], flight.signal)
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

  /** Where the dialect does not count blocks and files, zeros, as in /proc, so that df and stat -f work. */
  async STATFS({ header: { uid } }: R<'STATFS'>, flight: FuseRequest): Promise<k.Answer<'STATFS'>> {
    return (await this.dialect.statfs?.(uid, flight.signal)) ?? { bsize: k.PAGE, frsize: k.PAGE, namelen: 255 }
  }

  async ACCESS({ header: { nodeid, uid }, in: { mask } }: R<'ACCESS'>, flight: FuseRequest) {
    const node = this.nodes.get(nodeid)
    const { fid, answer } = await this.#fids.ask(node, uid, fid => this.dialect.stat(fid, flight.signal), flight)
    fid.drop()
    if (!permits(answer, uid, mask)) throw fail('permission')
  }

  #handle(fh: number): Handle {
    const handle = this.#handles.get(fh)
    if (!handle) throw fail('unknownFid')
    return handle
  }

  /** Looks a name up in its directory and gives the file a node. @returns the answer to a LOOKUP */
  async #entry(parent: Node, name: string, uid: number, from: Fid, flight: FuseRequest): Promise<k.Answer<'LOOKUP'>> {
    const { fid, answer } = await from.ask([name], fid => this.dialect.stat(fid, flight.signal), flight.signal)
    if (flight.answered) {
      fid.drop()
      throw fail('interrupted')
    }
    const node = this.nodes.lookup(parent, name, fid.qid)
    node.stat = answer
    // kept to walk on from, or to be opened
    if (this.dialect.opensLookups || fid.qid.type & QTDIR) this.nodes.keep(node, uid, fid)
    else fid.drop()
    return { nodeid: node.id, entry_valid: this.#valid, ...instant(answer) }
  }

  /** Creates a file of any kind in a directory by `make`, and answers with its entry. */
  async #made({ nodeid, uid }: k.Header, name: string, flight: FuseRequest, make: (dir: Fid) => Promise<unknown>) {
    const parent = this.nodes.get(nodeid)
    const dir = await this.#fids.kept(parent, uid, flight)
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

  /**
   * Registers an open file and answers its OPEN. The file always has direct I/O: the kernel then does not rely on a
   * size, and each read(2) is one READ that returns what is there. The kernel sends a FLUSH only for files opened for
   * writing, and only if the server checks them at the close. The flags for nonseekable files and streams are not set,
   * because the kernel would then drop the offsets that reads of `data` depend on (docs/files.md, data).
   */
  #opened(node: Node, fid: Fid, flags: number, uid: number): k.Answer<'OPEN'> {
    const fh = ++this.#last
    const writes = (flags & 3) === OWRITE || (flags & 3) === ORDWR
    this.#handles.set(fh, new Handle(fid, node, writes, uid, this.dialect.readsAhead))
    const flush = writes && this.dialect.checksAtClose ? 0 : k.FOPEN_NOFLUSH
    return { fh, open_flags: k.FOPEN_DIRECT_IO | k.FOPEN_PARALLEL_DIRECT_WRITES | flush }
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

  async #rename({ nodeid, uid }: k.Header, newdir: number, oldname: string, newname: string, flight: FuseRequest) {
    const parent = this.nodes.get(nodeid)
    const into = this.nodes.get(newdir)
    await this.dialect.rename(parent, oldname, into, newname, uid, flight)
    const node = parent.children.get(oldname)
    if (node) this.nodes.rename(node, into, newname)
    else this.nodes.remove(into.children.get(newname))
  }
}

/** Attributes with the time for which the kernel may keep them. */
const instant = (stat: UnixStat) => ({ ...stat, attr_valid_nsec: INSTANT_NS })
