/** A mount of a server that speaks 9P2000 or 9P2000.u. */

import { fail } from '../../fs/base/errors.js'
import type { Fid } from '../../fs/client/client.js'
import { openMode } from '../../fs/wire/linux.js'
import { DMDIR, QTDIR, type Stat } from '../../fs/wire/protocol.js'
import { type Owner, type UnixStat, unixStat } from '../attributes.js'
import { anyOpen, type MountDialect } from './dialect.js'
import type { Fids } from './fids.js'
import type { Node, Opened } from './nodes.js'
import * as k from './protocol.js'
import type { FuseRequest } from './request.js'

/** A second in ns. */
const SECOND_NS = 1_000_000_000

export class PlainDialect implements MountDialect {
  readonly resolution_ns = SECOND_NS
  readonly cachesNames = true
  readonly opensLookups = false
  readonly checksAtClose = true
  readonly readsAhead = true
  readonly sameUsers = false

  /** @param owner the owner of files whose owner the server gives no number for */
  constructor(
    readonly fids: Fids,
    readonly owner: Owner,
  ) {}

  /** The kernel handles O_APPEND and O_EXCL itself: it sends the offsets and has looked the name up. */
  mode(flags: number): number {
    return openMode(flags)
  }

  async stat(fid: Fid, signal: AbortSignal): Promise<UnixStat> {
    return unixStat(await fid.stat(signal), this.owner)
  }

  async attributes(node: Node, named: Opened | undefined, uid: number, flight: FuseRequest): Promise<UnixStat> {
    const open = this.changedThrough(node, named)
    if (open) return this.stat(open, flight.signal)
    const read = await this.#read(node, uid, flight)
    if (read) return read
    const { fid, answer } = await this.fids.ask(node, uid, fid => this.stat(fid, flight.signal), flight)
    fid.drop()
    return answer
  }

  /**
   * The attributes of a file that this user has open for reading, through the handle they opened last. Each open may
   * have other content than the next (`status`), and the kernel does not say which requests come from fstat(2). A
   * program that takes the length as the amount to read (tar, rsync, sendfile) must get the length of the content that
   * it reads.
   */
  async #read(node: Node, uid: number, flight: FuseRequest): Promise<UnixStat | undefined> {
    const reading = [...node.handles].findLast(handle => handle.uid === uid && !handle.writes)
    if (!reading || reading.fid.qid.type & QTDIR) return undefined
    return this.stat(reading.fid, flight.signal).catch(error => {
      if (flight.signal.aborted) throw error
      return undefined
    })
  }

  changedThrough(node: Node, named: Opened | undefined): Fid | undefined {
    return node.removed ? anyOpen(node, named) : named?.fid
  }

  /** A file keeps its owner, because 9P has no chown; access times are accepted and ignored. */
  async change(_node: Node, fid: Fid, to: k.Request<'SETATTR'>['in'], flight: FuseRequest): Promise<void> {
    if (to.valid & (k.FATTR_UID | k.FATTR_GID)) {
      const { uid, gid } = await this.stat(fid, flight.signal)
      if ((to.valid & k.FATTR_UID && to.uid !== uid) || (to.valid & k.FATTR_GID && to.gid !== gid))
        throw fail('notPermitted', 'the owner of a file cannot be changed')
    }
    const changes: Partial<Stat> = {}
    if (to.valid & k.FATTR_SIZE) changes.length = BigInt(to.size)
    if (to.valid & k.FATTR_MODE) changes.mode = ((to.mode & 0o777) | (fid.qid.type & QTDIR ? DMDIR : 0)) >>> 0
    if (to.valid & k.FATTR_MTIME)
      changes.mtime = to.valid & k.FATTR_MTIME_NOW ? Math.floor(Date.now() / 1000) : Math.max(0, to.mtime) % 2 ** 32
    if (Object.keys(changes).length > 0) await fid.wstat(changes, flight.signal)
  }

  /** By the path: the name that the kernel looked up a second ago may stand for another file by now. */
  async open(node: Node, flags: number, uid: number, flight: FuseRequest): Promise<Fid> {
    const { fid } = await this.fids.ask(node, uid, fid => fid.open(this.mode(flags), flight.signal), flight)
    return fid
  }

  /** By wstat, which works only within one directory. */
  async rename(from: Node, name: string, into: Node, newname: string, uid: number, flight: FuseRequest): Promise<void> {
    if (into !== from) throw fail('crossDevice')
    const fid = await (await this.fids.kept(from, uid, flight)).walk([name], flight.signal)
    await fid.wstat({ name: newname }, flight.signal).finally(() => fid.drop())
  }
}
