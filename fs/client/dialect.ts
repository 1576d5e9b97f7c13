/** What a client does differently in each dialect. plain-dialect.ts and linux-dialect.ts implement it. */
import type { Msg, ReplyOf, TMessage } from '../wire/message.js'
import { NONUNAME, type Qid, type Stat } from '../wire/protocol.js'
import type { ClientConnection } from './connection.js'

/** A file's position: the root fid of its tree, and the names on the way from there. */
export interface Position<F> {
  readonly root: F
  readonly names: readonly string[]
}

/** The part of a Fid that the dialects use. */
export interface ClientFid {
  readonly fid: number
  readonly qid: Qid
  readonly client: Pick<ClientConnection, 'dialect' | 'ours'>
  readonly position: Position<ClientFid>
  /** Notes that the fid stands for the file of that name in the tree from now on. */
  moved(names: readonly string[]): void
  /** Sends one request about this fid and waits for its reply. */
  rpc<T extends TMessage['type']>(m: { type: T } & Omit<Msg<T>, 'tag'>, signal?: AbortSignal): Promise<ReplyOf<T>>
  walk(names: readonly string[], signal?: AbortSignal): Promise<ClientFid>
  stat(signal?: AbortSignal): Promise<Stat>
  clunk(): Promise<void>
  drop(): void
}

/** What an open or a create returned. */
export type Opening = Pick<ReplyOf<'Topen'>, 'qid' | 'iounit'>

/** One message's worth of a directory listing. */
export interface Listing {
  entries: Stat[]
  /** The offset to read on from. */
  next: bigint
  /** The bytes that the message carried; 0 at the end of the directory. */
  bytes: number
}

/** The operations of one dialect. The methods of Fid that have their names say what they do. */
export interface FileOperations {
  /** Whether a request about a fid may be sent right behind the walk that creates the fid. */
  readonly asksBehindWalk: boolean
  open(file: ClientFid, mode: number, signal?: AbortSignal): Promise<Opening>
  create(dir: ClientFid, name: string, perm: number, mode: number, gid: number, signal?: AbortSignal): Promise<Opening>
  stat(file: ClientFid, signal?: AbortSignal): Promise<Stat>
  wstat(file: ClientFid, changes: Partial<Stat>, signal?: AbortSignal): Promise<void>
  sync(file: ClientFid, signal?: AbortSignal): Promise<void>
  finish(file: ClientFid, signal?: AbortSignal): Promise<void>
  /** Reads entries from `offset` on, by one request for `count` bytes. */
  list(dir: ClientFid, offset: bigint, count: number, signal?: AbortSignal): Promise<Listing>
  /** Fills in the fields that `list` does not know. */
  stats(dir: ClientFid, entries: Stat[], signal?: AbortSignal): Promise<Stat[]>
  /** Removes the file. @param end ends the fid, by a Tclunk or a Tremove; `remove` calls it, even if it fails */
  remove(file: ClientFid, end: (by: 'Tclunk' | 'Tremove') => Promise<void>): Promise<void>
}

/** A stat of which only the name and the qid are known. */
export function unknownStat(name: string, qid: Qid): Stat {
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
