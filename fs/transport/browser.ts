/** 9P over the WebSocket of a browser. Imports nothing from Node. */
import type { Transport } from '../transport.js'

/** The part of a browser's WebSocket that this file needs (Node's own and that of ws have it as well). */
export interface WebSocketLike {
  binaryType: string
  readonly readyState: number
  readonly bufferedAmount: number
  readonly url: string
  send(data: Uint8Array<ArrayBuffer>): void
  close(code?: number, reason?: string): void
  addEventListener(type: string, listener: (event: any) => void): void
}

const CONNECTING = 0
const OPEN = 1
/** How often to check what is queued, in ms: a browser has no drain event. */
const POLL_MS = 20
/** The first of the close codes that are free for applications. */
const CLOSE_PROTOCOL = 4000

/**
 * A transport over a browser's WebSocket, which may still be connecting: `new WebSocket(url, ['9p', 'bearer.TOKEN'])`.
 */
export function browserTransport(ws: WebSocketLike): Transport {
  return new BrowserTransport(ws)
}

class BrowserTransport implements Transport {
  readonly name: string
  onclose: (reason?: Error) => void = () => {}
  ondrain: () => void = () => {}
  #ondata: ((chunk: Uint8Array) => void) | undefined
  /** Messages to send once the connection is open. */
  #early: Uint8Array<ArrayBuffer>[] = []
  /** Messages that arrived while paused: a browser cannot be told to stop reading. */
  #held: Uint8Array[] = []
  #paused = false
  #polling = false
  #over = false

  constructor(readonly ws: WebSocketLike) {
    this.name = ws.url
    ws.binaryType = 'arraybuffer'
    ws.addEventListener('open', () => {
      for (const message of this.#early) ws.send(message)
      this.#early = []
    })
    ws.addEventListener('message', ({ data }) => {
      if (typeof data === 'string') return this.destroy(new Error('9P needs binary messages, got a text message'))
      this.#held.push(new Uint8Array(data as ArrayBuffer))
      this.#deliver()
    })
    // a page is not told what went wrong; the close event that follows has all there is
    ws.addEventListener('error', () => {})
    ws.addEventListener('close', ({ code, reason }) => {
      this.#gone(code === 1000 || code === 1005 ? undefined : new Error(reason || `WebSocket closed with code ${code}`))
    })
  }

  get queued(): number {
    return this.#early.reduce((n, m) => n + m.length, this.ws.bufferedAmount)
  }

  get ondata(): (chunk: Uint8Array) => void {
    return this.#ondata ?? (() => {})
  }

  set ondata(f: (chunk: Uint8Array) => void) {
    this.#ondata = f
    this.#deliver()
  }

  send(messages: Uint8Array[][]): void {
    if (this.#over) return
    for (const parts of messages) {
      const message = join(parts)
      if (this.ws.readyState === OPEN) this.ws.send(message)
      else if (this.ws.readyState === CONNECTING) this.#early.push(message)
    }
    this.#poll()
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    this.#deliver()
  }

  close(): void {
    this.#ondata = () => {}
    this.ws.close(1000)
  }

  destroy(reason?: Error): void {
    if (reason) this.ws.close(CLOSE_PROTOCOL, reason.message.slice(0, 40))
    else this.ws.close()
    this.#gone(reason)
  }

  #deliver(): void {
    if (!this.#ondata) return
    while (this.#held.length > 0 && !this.#paused) this.#ondata(this.#held.shift()!)
  }

  /** Calls `ondrain` once nothing is queued, in place of a drain event. */
  #poll(): void {
    if (this.#polling || this.queued === 0) return
    this.#polling = true
    setTimeout(() => {
      this.#polling = false
      if (this.#over) return
      if (this.queued === 0) this.ondrain()
      else this.#poll()
    }, POLL_MS)
  }

  #gone(reason: Error | undefined): void {
    if (this.#over) return
    this.#over = true
    this.#ondata = () => {}
    this.#early = []
    this.onclose(reason)
  }
}

/** Joins the parts of one message: a page cannot send fragments. */
function join(parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  if (parts.length === 1) return parts[0] as Uint8Array<ArrayBuffer>
  const whole = new Uint8Array(parts.reduce((n, part) => n + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
