/** Another server's tree as a directory of this one. */

import { type Clock, deadline, systemClock } from '../base/clock.js'
import { FsError, fail } from '../base/errors.js'
import type { MaybePromise } from '../base/maybe-promise.js'
import type { Attaches } from '../client/attaches.js'
import type { Fid } from '../client/client.js'
import {
  type Attributes,
  type Context,
  type Created,
  type File,
  newQid,
  type Opened,
  type Owner,
  type User,
} from '../file.js'
import { DMDIR, NONUNAME, OREAD, type Qid, QTDIR, type Stat } from '../wire/protocol.js'

/** How a remote tree is reached: with an attach for each local user, on a shared connection. */
export interface RemoteOptions {
  /** The remote root under each user's name. */
  attaches: Attaches<User>
  /**
   * Whether the remote server alone decides who may access what (`File.decided`). Otherwise the mode bits that it shows
   * are also checked here.
   */
  decided?: boolean
  /**
   * The owner of the mount point. If given, the attributes of the root are made here without asking the server: a
   * listing that contains the root must not wait for a server that hangs.
   */
  owner?: Owner
  /** How long a call may take that does not wait for content, in ms. */
  deadline_ms?: number
  /** The clock that measures this; the system clock by default. */
  clock?: Clock
}

/**
 * Presents another server's tree as a directory of this one (mount, import(4)). Files are identified by their path from
 * the remote root and looked up again at each open, so the remote server holds nothing but what is open here.
 */
export function remote(options: RemoteOptions): File {
  return new RemoteFile(new Remote(options), [], undefined)
}

class Remote {
  /** The remote server's qid paths, mapped to qids that are unique in this process. */
  readonly #paths = new Map<bigint, Qid>()

  /** When the tree was mounted, in seconds since 1970. */
  readonly time: number

  constructor(readonly options: RemoteOptions) {
    this.time = Math.floor((options.clock ?? systemClock).date() / 1000)
  }

  root(user: User): MaybePromise<Fid> {
    return this.options.attaches.root(user)
  }

  qid(of: Qid): Qid {
    let qid = this.#paths.get(of.path)
    if (qid && qid.version !== of.version) this.#paths.set(of.path, (qid = { ...qid, version: of.version }))
    if (!qid || qid.type !== of.type) {
      // a tree that keeps creating files would fill this map: drop the oldest, which get new numbers when they are seen
      // again
      if (this.#paths.size >= 100_000) this.#paths.delete(this.#paths.keys().next().value!)
      qid = { ...newQid(of.type), version: of.version }
      this.#paths.set(of.path, qid)
    }
    return qid
  }

  /**
   * Sends a request that should be answered quickly, with a time limit: a remote server that hangs must not hang this
   * one.
   */
  async quickly<T>(ctx: Context, ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { deadline_ms = 15_000, clock = systemClock } = this.options
    const late = deadline(clock, deadline_ms, () => fail('io', `no answer within ${deadline_ms / 1000} s`))
    try {
      return await ask(AbortSignal.any([ctx.signal, late.signal]))
    } catch (error) {
      throw late.signal.aborted && !ctx.signal.aborted ? late.signal.reason : error
    } finally {
      late.cancel()
    }
  }
}

class RemoteFile implements File {
  readonly qid: Qid
  readonly decided: boolean
  #stat: Stat | undefined

  constructor(
    readonly tree: Remote,
    readonly path: readonly string[],
    stat: Stat | undefined,
  ) {
    this.#stat = stat
    this.decided = tree.options.decided ?? false
    this.qid = stat ? tree.qid(stat.qid) : newQid(QTDIR)
  }

  attributes(ctx: Context): MaybePromise<Attributes> {
    const { owner } = this.tree.options
    if (!owner || this.path.length > 0) return this.#attributes(ctx)
    const { time } = this.tree
    return { mode: 0o555, owner, length: 0, mtime: time, atime: time }
  }

  async #attributes(ctx: Context): Promise<Attributes> {
    // the stat that came with the walk or the listing is used once; later calls ask again
    const stat = this.#stat ?? (await this.#at(ctx, (fid, signal) => fid.stat(signal)))
    this.#stat = undefined
    return {
      mode: stat.mode & 0o777,
      owner: { name: stat.uid, uid: stat.n_uid, ...(stat.n_gid !== NONUNAME && { gid: stat.n_gid }) },
      length: Number(stat.length),
      mtime: stat.mtime,
      atime: stat.atime,
    }
  }

  async walk(name: string, ctx: Context): Promise<File | undefined> {
    try {
      const path = [...this.path, name]
      const stat = await this.#at(ctx, (fid, signal) => fid.stat(signal), path)
      return new RemoteFile(this.tree, path, stat)
    } catch (error) {
      if (error instanceof FsError && error.isMissing) return undefined
      throw error
    }
  }

  async open(mode: number, ctx: Context): Promise<Opened> {
    return this.tree.quickly(ctx, async signal => {
      const root = await this.tree.root(ctx.user)
      const { fid } = await root.ask(this.path, fid => fid.open(mode, signal), signal)
      return this.#opened(fid)
    })
  }

  async create(name: string, perm: number, mode: number, ctx: Context): Promise<Created> {
    const fid = await this.#walk(ctx, this.path)
    try {
      await fid.create(name, perm, perm & DMDIR ? OREAD : mode, ctx.signal)
      const file = new RemoteFile(this.tree, [...this.path, name], await fid.stat(ctx.signal))
      return { file, opened: this.#opened(fid) }
    } catch (error) {
      await fid.clunk().catch(() => undefined)
      throw error
    }
  }

  async remove(ctx: Context): Promise<void> {
    await (await this.#walk(ctx, this.path)).remove()
  }

  truncate(ctx: Context): Promise<void> {
    return this.#at(ctx, (fid, signal) => fid.wstat({ length: 0n }, signal))
  }

  change({ name, length }: { name?: string; length?: number }, ctx: Context): Promise<void> {
    const stat = { ...(name !== undefined && { name }), ...(length !== undefined && { length: BigInt(length) }) }
    return this.#at(ctx, (fid, signal) => fid.wstat(stat, signal))
  }

  #opened(fid: Fid): Opened {
    return {
      // only the remote server knows whether a read waits: assume that it may
      stream: true,
      // ask about the open file: its content may differ by now from what the next open would give
      extent: async ctx => {
        const { length, mtime } = await this.tree.quickly(ctx, signal => fid.stat(signal))
        return { length: Number(length), mtime }
      },
      read: (offset, count, ctx): MaybePromise<Uint8Array> => fid.read(offset, count, ctx.signal),
      write: (offset, data, ctx) => fid.write(offset, data.slice(), ctx.signal),
      list: async ctx =>
        (await fid.stats(ctx.signal))
          // a name that cannot be walked to would spoil the whole listing for readers behind a mount
          .filter(({ name }) => !/\p{Cc}/u.test(name))
          // keep each entry's stat, which answers the next question about it: 9P2000.L lists only names
          .map(stat => [stat.name, new RemoteFile(this.tree, [...this.path, stat.name], stat)] as const),
      sync: ctx => fid.finish(ctx.signal),
      close: () => fid.clunk(),
    }
  }

  #walk(ctx: Context, path: readonly string[]): Promise<Fid> {
    return this.tree.quickly(ctx, async signal => (await this.tree.root(ctx.user)).walk(path, signal))
  }

  #at<T>(ctx: Context, use: (fid: Fid, signal: AbortSignal) => Promise<T>, path = this.path): Promise<T> {
    return this.tree.quickly(ctx, async signal => {
      const root = await this.tree.root(ctx.user)
      const { fid, answer } = await root.ask(path, fid => use(fid, signal), signal)
      // do not wait for the reply: the next request on this connection follows it anyway
      fid.drop()
      return answer
    })
  }
}
