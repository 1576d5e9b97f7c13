/** 9P over unix and TCP sockets. */
import type { Socket } from 'node:net'
import { CLOSE_TIMEOUT_MS, KEEPALIVE_MS } from '../base/limits.js'
import type { Transport } from '../transport.js'

/** Smaller parts than this are copied together: that costs less than a separate entry in a writev. */
const GATHER_BELOW = 2048

/** A transport over a connected unix or TCP socket. Nothing is read from it before `ondata` is set. */
export function socketTransport(socket: Socket, name: string): Transport {
  return new SocketTransport(socket, name)
}

class SocketTransport implements Transport {
  onclose: (reason?: Error) => void = () => {}
  ondrain: () => void = () => {}
  #ondata: ((chunk: Uint8Array) => void) | undefined
  #reason: Error | undefined

  constructor(
    readonly socket: Socket,
    readonly name: string,
  ) {
    socket.setNoDelay(true)
    socket.setKeepAlive(true, KEEPALIVE_MS)
    socket.pause()
    socket.on('data', chunk => this.#ondata?.(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length)))
    socket.on('drain', () => this.ondrain())
    socket.on('error', error => {
      this.#reason ??= error
    })
    socket.on('close', () => this.onclose(this.#reason))
    socket.pause()
  }

  get queued(): number {
    return this.socket.writableLength
  }

  get ondata(): (chunk: Uint8Array) => void {
    return this.#ondata ?? (() => {})
  }

  set ondata(f: (chunk: Uint8Array) => void) {
    this.#ondata = f
    this.socket.resume()
  }

  send(messages: Uint8Array[][]): void {
    if (!this.socket.writable) return
    const parts = gather(messages)
    if (parts.length === 1) {
      this.socket.write(parts[0]!)
      return
    }
    this.socket.cork()
    for (const part of parts) this.socket.write(part)
    this.socket.uncork()
  }

  pause(): void {
    this.socket.pause()
  }

  resume(): void {
    this.socket.resume()
  }

  close(): void {
    if (this.socket.destroyed) return
    this.#ondata = undefined
    this.socket.end()
    // a peer that never reads the last bytes must not keep the socket open for ever
    const timer = setTimeout(() => this.socket.destroy(), CLOSE_TIMEOUT_MS)
    timer.unref()
    this.socket.once('close', () => clearTimeout(timer))
    this.socket.resume()
  }

  destroy(reason?: Error): void {
    this.#reason ??= reason
    this.socket.destroy()
  }
}

/** Joins small parts, so that there are fewer pieces: runs of small parts become one, large payloads stay separate. */
function gather(messages: Uint8Array[][]): Uint8Array[] {
  const only = messages[0]
  if (messages.length === 1 && only!.length === 1) return only!
  const out: Uint8Array[] = []
  let run: Uint8Array[] = []
  let length = 0
  const join = () => {
    if (run.length === 1) out.push(run[0]!)
    else if (run.length > 1) {
      const whole = Buffer.allocUnsafe(length)
      let at = 0
      for (const part of run) {
        whole.set(part, at)
        at += part.length
      }
      out.push(whole)
    }
    run = []
    length = 0
  }
  for (const parts of messages)
    for (const part of parts) {
      if (part.length >= GATHER_BELOW) {
        join()
        out.push(part)
      } else {
        run.push(part)
        length += part.length
      }
    }
  join()
  return out
}
