/** What a server lets its caller decide. */
import type { Clock } from '../base/clock.js'
import type { FsError } from '../base/errors.js'
import type { Holding } from '../base/holding.js'
import type { MaybePromise } from '../base/maybe-promise.js'
import type { File, User } from '../file.js'
import type { Attaching } from './attach.js'

/** The options of `serve`: who may attach to what, and hooks for traces, errors and memory accounting. */
export interface ServeOptions {
  /**
   * Resolves a Tattach to a user and the tree that they get. `who.user` is the user that a token proved, if one was
   * required; otherwise `uname` and `n_uname` are claims, to be believed only where the transport admits no one else.
   */
  attach(who: Attaching): MaybePromise<{ root: File; user: User }>
  /**
   * Names of the attach options that `attach` takes, besides `chunk`, which is the server's own. Others are refused.
   */
  attachOptions?: readonly string[]
  /**
   * If present, an attach requires an afid to which a token was written, unless `user` is given. Throws for a token
   * that it refuses.
   */
  authenticate?(token: string, uname: string): MaybePromise<User>
  /** The user that the connection has proved already (at the HTTP upgrade). */
  user?: User
  /** Called with each message as a line of text that `parse` reads, after `<- ` (received) or `-> ` (sent). */
  trace?: (line: string) => void
  /** Called with everything thrown that is not an FsError: a bug in the tree, answered as `i/o error`. */
  onerror?: (error: unknown) => void
  /**
   * Called with each error that a user was sent, and the path of the file that it is about: the content of a tree's
   * `error` file. Failed lookups are omitted.
   */
  onfail?: (error: FsError, user: User, path: string) => void
  /** Called with the user of each write that succeeded. */
  onwrite?: (user: User) => void
  /**
   * Returns the holding that counts the memory of a fid or a connection of that user; `undefined` stands for a
   * connection on which no one has attached yet. If it returns nothing for that, connections are not counted. If `hold`
   * is absent, no memory is counted.
   */
  hold?: (user: User | undefined) => Holding | undefined
  /** Overrides of the time limits of limits.ts, in ms; tests use shorter ones. */
  times?: Partial<{ version: number; attach: number; frame: number; queued: number; flush: number }>
  /** The clock that measures these; the system clock by default. */
  clock?: Clock
}
