/** The part of a client's connection that its fids and their holders use. */

import type { Transport } from '../transport.js'
import type { Msg, ReplyOf, TMessage } from '../wire/message.js'
import type { Dialect } from '../wire/protocol.js'

export interface ClientConnection {
  readonly transport: Transport
  readonly dialect: Dialect
  /** Bytes of the largest message. */
  readonly msize: number
  /** Whether the server is a llambo server, by the first stat that it sent; undefined before that. */
  readonly ours: boolean | undefined
  /** Resolves when the connection is gone, with the reason if it was not an ordinary end. */
  readonly closed: Promise<Error | undefined>
  /** Sends one request and waits for its reply. */
  rpc<T extends TMessage['type']>(m: { type: T } & Omit<Msg<T>, 'tag'>, signal?: AbortSignal): Promise<ReplyOf<T>>
  /** Takes a fid number that is free. @throws FsError `too many fids` */
  takeFid(): number
  /** Gives back a fid number that the server no longer knows. */
  giveFid(fid: number): void
  /** Ends the connection: requests sent still leave, everything outstanding rejects. */
  close(): void
}
