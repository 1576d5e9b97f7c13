/** What an operation is, and what it sees of its connection and of its request. */
import type { Clock } from '../base/clock.js'
import type { Holding } from '../base/holding.js'
import type { MaybePromise } from '../base/maybe-promise.js'
import type { File, User } from '../file.js'
import type { Msg, ReplyOf, TMessage } from '../wire/message.js'
import type { Dialect } from '../wire/protocol.js'
import type { Attaching } from './attach.js'
import type { FidState } from './fid.js'
import type { Fids } from './fids.js'

/** The part of a connection that the operations use. */
export interface ConnectionState {
  readonly dialect: Dialect
  readonly msize: number
  readonly fids: Fids
  readonly clock: Clock
  /** Resolves a Tattach to a tree and a user. */
  attach(who: Attaching): MaybePromise<{ root: File; user: User }>
  /** Names of the attach options that `attach` takes. */
  readonly attachOptions: readonly string[]
  /** Checks a token. Absent if no token is required. */
  readonly authenticate: ((token: string, uname: string) => MaybePromise<User>) | undefined
  /** The user that the connection itself has proved. */
  readonly user: User | undefined
  /** Returns the holding that counts the memory of one fid of that user; undefined if memory is not counted. */
  hold(user: User): Holding | undefined
}

/** A request as its operation sees it. It serves as the Context once its fid has determined the user. */
export interface Request {
  user: User | undefined
  fid: FidState | undefined
  /** The fid that the request creates, which is removed if the request is given up. */
  making: { number: number; fid: FidState } | undefined
  /** True once the request was given up: the operation must release what it obtains. */
  readonly dropped: boolean
  readonly signal: AbortSignal
  whenAborted(call: () => void): void
  /**
   * Counts bytes that a pending answer may bring, so that many such answers stay bounded. Counts once for each request.
   */
  reserve(bytes: number, answer: Promise<unknown>): void
}

type Body<T extends TMessage['type']> = Omit<ReplyOf<T>, 'tag' | 'type'>
type Operation<T extends TMessage['type']> = (
  host: ConnectionState,
  m: Msg<T>,
  request: Request,
) => MaybePromise<Body<T>>
/** The operation of each request type; the connection itself handles Tversion and Tflush. */
export type Operations = { [T in Exclude<TMessage['type'], 'Tversion' | 'Tflush'>]: Operation<T> }
