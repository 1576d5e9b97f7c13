/** A mount of a server that speaks 9P2000.L, whose files other programs may rename and change at any time. */

import { fail } from '../../fs/base/errors.js'
import type { Fid } from '../../fs/client/client.js'
import * as linux from '../../fs/client/linux.js'
import { O_APPEND, O_EXCL, openMode, SETATTR } from '../../fs/wire/linux.js'
import { OAPPEND, OEXCL } from '../../fs/wire/protocol.js'
import { linuxStat, type UnixStat } from '../attributes.js'
import { anyOpen, type MountDialect } from './dialect.js'
import { type Fids, opened } from './fids.js'
import type { Node, Opened } from './nodes.js'
import * as k from './protocol.js'
import type { FuseRequest } from './request.js'

export class LinuxDialect implements MountDialect {
  readonly resolution_ns = 1
  readonly cachesNames = false
  readonly opensLookups = true
  readonly checksAtClose = false
  readonly readsAhead = false
  readonly sameUsers = true

  constructor(readonly fids: Fids) {}

  /** With O_APPEND and O_EXCL, although the kernel handles them itself: the server has other clients. */
  mode(flags: number): number {
    return openMode(flags) | (flags & O_APPEND ? OAPPEND : 0) | (flags & O_EXCL ? OEXCL : 0)
  }

  async stat(fid: Fid, signal: AbortSignal): Promise<UnixStat> {
    return linuxStat(await linux.getattr(fid, signal))
  }

  async attributes(node: Node, named: Opened | undefined, uid: number, flight: FuseRequest): Promise<UnixStat> {
    const fid = this.changedThrough(node, named) ?? (await this.fids.kept(node, uid, flight))
    if (node.removed && node.stat && !(await this.#still(node, fid, flight))) return { ...node.stat, nlink: 0 }
    return this.stat(fid, flight.signal)
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

  /** By the path unless the file is removed: diod does not notice that the file of a fid was renamed. */
  changedThrough(node: Node, named: Opened | undefined): Fid | undefined {
    return node.removed ? anyOpen(node, named) : undefined
  }

  async change(node: Node, fid: Fid, to: k.Request<'SETATTR'>['in'], flight: FuseRequest): Promise<void> {
    if (node.removed && !(await this.#still(node, fid, flight))) throw fail('notFound')
    await linux.setattr(fid, changes(to), flight.signal)
  }

  /** Opens the fid that the preceding lookup walked. */
  async open(node: Node, flags: number, uid: number, flight: FuseRequest): Promise<Fid> {
    return opened(await this.fids.take(node, uid, flight), this.mode(flags), flight)
  }

  /** As rename(2) does. */
  async rename(from: Node, name: string, into: Node, newname: string, uid: number, flight: FuseRequest): Promise<void> {
    const fid = await (await this.fids.kept(from, uid, flight)).walk([name], flight.signal)
    try {
      await linux.rename(fid, await this.fids.kept(into, uid, flight), newname, flight.signal)
    } finally {
      fid.drop()
    }
  }

  async statfs(uid: number, signal: AbortSignal): Promise<k.Answer<'STATFS'>> {
    const counts = await linux.statfs(await this.fids.root(uid), signal)
    const { bsize, blocks, bfree, bavail, files, ffree, namelen } = counts
    return { bsize, frsize: bsize, blocks, bfree, bavail, files, ffree, namelen }
  }
}

/** Converts a SETATTR to the fields of a Tsetattr. */
function changes(to: k.Request<'SETATTR'>['in']) {
  const { MODE, UID, GID, SIZE, ATIME, ATIME_SET, MTIME, MTIME_SET } = SETATTR
  const bits = [
    [k.FATTR_MODE, MODE],
    [k.FATTR_UID, UID],
    [k.FATTR_GID, GID],
    [k.FATTR_SIZE, SIZE],
    [k.FATTR_ATIME, to.valid & k.FATTR_ATIME_NOW ? ATIME : ATIME | ATIME_SET],
    [k.FATTR_MTIME, to.valid & k.FATTR_MTIME_NOW ? MTIME : MTIME | MTIME_SET],
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
