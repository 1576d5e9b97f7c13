/** A connection in memory, for tests and for trees in the same process. */
import type { Transport } from '../transport.js'

/**
 * Creates both ends of a connection in memory. Like a socket it delivers in a later turn of the event loop, keeps the
 * order, and holds back what a paused end does not take (it counts as `queued` at the other end).
 */
export function transportPair(): [Transport, Transport] {
  const a = new End('pair!0')
  const b = new End('pair!1')
  a.peer = b
  b.peer = a
  return [a, b]
}

class End implements Transport {
  onclose: (reason?: Error) => void = () => {}
  ondrain: () => void = () => {}
  peer!: End
  queued = 0
  /** What the peer has sent and this end has not delivered yet. */
  #inbox: Uint8Array[] = []
  #ondata: ((chunk: Uint8Array) => void) | undefined
  #scheduled = false
  #paused = false
  #ended = false
  #closed = false

  constructor(readonly name: string) {}

  get ondata(): (chunk: Uint8Array) => void {
    return this.#ondata ?? (() => {})
  }

  set ondata(f: (chunk: Uint8Array) => void) {
    this.#ondata = f
    this.#schedule()
  }

  send(messages: Uint8Array[][]): void {
    if (this.#ended || this.#closed || this.peer.#ended) return
    for (const parts of messages)
      for (const part of parts) {
        this.queued += part.length
        this.peer.#inbox.push(part)
      }
    this.peer.#schedule()
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    this.#schedule()
  }

  close(): void {
    this.#ended = true
    this.#ondata = undefined
    this.#inbox = []
    this.peer.queued = 0
    this.peer.#schedule()
  }

  destroy(reason?: Error): void {
    if (this.#closed) return
    this.peer.#inbox = []
    this.#over(reason)
    setImmediate(() => this.peer.#over())
  }

  #schedule(): void {
    if (this.#scheduled || this.#closed) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#deliver()
    })
  }

  #deliver(): void {
    if (!this.#ondata && !this.#ended) return
    const { peer } = this
    const before = peer.queued
    let at = 0
    while (at < this.#inbox.length && !this.#paused && !this.#closed) {
      const chunk = this.#inbox[at++]!
      peer.queued -= chunk.length
      this.#ondata?.(chunk)
    }
    if (this.#closed) return
    this.#inbox.splice(0, at)
    if (before > 0 && peer.queued === 0) peer.ondrain()
    if (peer.#ended && this.#inbox.length === 0) {
      // everything has been delivered: an ordinary end, for both ends
      peer.#over()
      this.#over()
    }
  }

  #over(reason?: Error): void {
    if (this.#closed) return
    this.#closed = true
    this.#inbox = []
    this.queued = 0
    this.onclose(reason)
  }
}
