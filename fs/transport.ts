/**
 * One connection that carries 9P: whole frames out, bytes in. Its implementations are in transport/ (unix and tcp sockets,
 * WebSocket, an in-memory pair); a server session and a client are each given one and never know which.
 */
export interface Transport {
  /** For messages and traces: where the other end is, e.g. `unix!/run/…/9p`. */
  readonly name: string
  /** Bytes handed to `send` that have not left yet. */
  readonly queued: number
  /** Bytes that have come and are kept below `ondata`, which is called with nothing when that has changed; absent: there are never any. */
  readonly unread?: number
  /** Bytes that the connection itself takes beyond those of a plain socket, such as for encryption; absent: none. */
  readonly extra?: number
  /** Set by the owner before anything else; called with bytes as they come, split anyhow. */
  ondata: (chunk: Uint8Array) => void
  /** Called once when the connection is gone, with the reason if it was not an ordinary end. */
  onclose: (reason?: Error) => void
  /** Called when `queued` is back at (about) nothing after having been above it. */
  ondrain: () => void
  /**
   * Sends messages: each inner array is the parts of one message. All are written together in one gathered write.
   * After the connection is gone it does nothing.
   */
  send(messages: Uint8Array[][]): void
  /** Stops and restarts delivery to `ondata` (flow control towards the peer). */
  pause(): void
  resume(): void
  /** Sends what is queued, then closes. */
  close(): void
  /** Closes at once, losing what is queued; `reason` reaches `onclose`. */
  destroy(reason?: Error): void
}
