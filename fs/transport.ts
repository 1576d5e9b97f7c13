/**
 * A connection that carries 9P: whole messages go out, bytes come in. The implementations are in transport/ (unix and
 * TCP sockets, WebSocket, an in-memory pair); a server session and a client each use one and never know which.
 */
export interface Transport {
  /** Where the other end is, for messages and traces, e.g. `unix!/run/…/9p`. */
  readonly name: string
  /** Bytes passed to `send` that have not left yet. */
  readonly queued: number
  /**
   * Bytes that have arrived but are kept below `ondata`, which is called with an empty chunk when this number has
   * changed. Absent if there are never any.
   */
  readonly unread?: number
  /**
   * Memory that the connection itself takes beyond that of a plain socket, such as for encryption, in bytes. Absent:
   * none.
   */
  readonly extra?: number
  /** Set by the owner before anything else. Called with bytes as they arrive, however they are split. */
  ondata: (chunk: Uint8Array) => void
  /** Called once when the connection has closed, with the reason unless it was an ordinary end. */
  onclose: (reason?: Error) => void
  /** Called when `queued` has returned to (about) nothing after having been above it. */
  ondrain: () => void
  /**
   * Sends messages; each inner array has the parts of one message. All of them are sent in one gathered write. Does
   * nothing once the connection has closed.
   */
  send(messages: Uint8Array[][]): void
  /** Stops delivery to `ondata` (flow control towards the peer); `resume` restarts it. */
  pause(): void
  resume(): void
  /** Sends what is queued, then closes. */
  close(): void
  /** Closes at once, losing what is queued; `reason` reaches `onclose`. */
  destroy(reason?: Error): void
}
