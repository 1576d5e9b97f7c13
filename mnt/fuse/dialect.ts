/** What a mount does differently in each dialect. plain-dialect.ts and linux-dialect.ts implement it. */

import type { Fid } from '../../fs/client/client.js'
import type { UnixStat } from '../attributes.js'
import type { Node, Opened } from './nodes.js'
import type { Answer, Request } from './protocol.js'
import type { FuseRequest } from './request.js'

export interface MountDialect {
  /** The resolution of times, in ns. */
  readonly resolution_ns: number
  /**
   * Whether names may be cached for a second. A listing has the attributes of its entries then, and an open finds its
   * file by the path.
   */
  readonly cachesNames: boolean
  /** Whether the fid of a lookup is kept for the open that follows. Fids of directories are kept in any case. */
  readonly opensLookups: boolean
  /** Whether the server checks a file that was written when a program closes it. */
  readonly checksAtClose: boolean
  /** Whether the bytes of a file that has a length never change, so that it may be read ahead. */
  readonly readsAhead: boolean
  /** Whether a user number means the same user at both ends, so that the kernel can check the mode bits. */
  readonly sameUsers: boolean
  /** Converts open(2)'s flags to 9P's open mode. */
  mode(flags: number): number
  stat(fid: Fid, signal: AbortSignal): Promise<UnixStat>
  /** Answers a GETATTR. @param named the open file that the kernel names */
  attributes(node: Node, named: Opened | undefined, uid: number, flight: FuseRequest): Promise<UnixStat>
  /** The open fid through which to change the attributes; undefined if that is to be done by the path. */
  changedThrough(node: Node, named: Opened | undefined): Fid | undefined
  /** Changes what a SETATTR asks for. */
  change(node: Node, fid: Fid, to: Request<'SETATTR'>['in'], flight: FuseRequest): Promise<void>
  /** Opens the file of a node. */
  open(node: Node, flags: number, uid: number, flight: FuseRequest): Promise<Fid>
  rename(from: Node, name: string, into: Node, newname: string, uid: number, flight: FuseRequest): Promise<void>
  /** Counts blocks and files. Absent if the dialect cannot. */
  statfs?(uid: number, signal: AbortSignal): Promise<Answer<'STATFS'>>
}

/** The fid of an open file of a removed node: of the one that the kernel names, if it names one. */
export const anyOpen = (node: Node, named: Opened | undefined): Fid | undefined => (named ?? [...node.handles][0])?.fid
