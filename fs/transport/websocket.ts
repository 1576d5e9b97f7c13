/** 9P over WebSockets, at both ends: dialling with TLS and pinned certificates, and accepting an HTTP upgrade. */
import type { X509Certificate } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { WebSocket, WebSocketServer } from 'ws'
import { FsError, fail } from '../base/errors.js'
import { CLOSE_TIMEOUT_MS, DIAL_TIMEOUT_MS, MAX_WS_MESSAGE, PING_MS, TLS_BYTES } from '../base/limits.js'
import type { Transport } from '../transport.js'
import { connectError } from './connect-error.js'

/**
 * The subprotocol. This end sends each 9P message as one WebSocket message; it reads a stream of bytes, however they
 * were split.
 */
const SUBPROTOCOL = '9p'

/**
 * The settings of both ends: no compression (generated tokens are small, and secrets leak through compression), and
 * nothing larger than a message may be.
 */
const settings = { perMessageDeflate: false, maxPayload: MAX_WS_MESSAGE, maxFragments: 1024, maxBufferedChunks: 4096 }

/** The internal buffers of ws for incomplete frames and messages. */
interface Kept {
  readonly _bufferedBytes: number
  readonly _messageLength: number
  readonly _buffers: readonly unknown[]
}
/** What a chunk in those buffers takes besides its bytes. */
const CHUNK_BYTES = 256
const nothing = new Uint8Array(0)

const socketOf = (ws: WebSocket) => (ws as unknown as { _socket: Duplex })._socket

/** A transport over an open WebSocket. Nothing is read from it before `ondata` is set. */
export function webSocketTransport(ws: WebSocket, name: string): Transport {
  return new WebSocketTransport(ws, name)
}

class WebSocketTransport implements Transport {
  onclose: (reason?: Error) => void = () => {}
  ondrain: () => void = () => {}
  #ondata: ((chunk: Uint8Array) => void) | undefined
  #reason: Error | undefined
  #over = false
  #paused = false
  #alive = true
  #unread = 0

  constructor(
    readonly ws: WebSocket,
    readonly name: string,
  ) {
    ws.pause()
    ws.on('message', (data: Buffer, binary) => {
      if (!binary) return this.#refuse(1003, '9P needs binary messages')
      this.#ondata?.(new Uint8Array(data.buffer, data.byteOffset, data.length))
    })
    // runs after ws's own listener, which buffers a frame until it is complete
    socketOf(ws).on('data', () => this.#countUnread())
    ws.on('error', error => {
      this.#reason ??= error
    })
    ws.on('pong', () => {
      this.#alive = true
    })
    const ping = setInterval(() => this.#ping(), PING_MS)
    ping.unref()
    ws.on('close', (_code, why) => {
      clearInterval(ping)
      if (why.length > 0) this.#reason ??= fail('hungUp', why.toString().replace(/\p{C}/gu, ''))
      this.#gone(this.#reason)
    })
  }

  get queued(): number {
    return this.ws.bufferedAmount
  }

  get extra(): number {
    return (socketOf(this.ws) as Partial<TLSSocket> | null)?.encrypted ? TLS_BYTES : 0
  }

  get unread(): number {
    return this.#unread
  }

  #countUnread(): void {
    const { _receiver: kept } = this.ws as unknown as { _receiver: Kept | null }
    const unread = kept ? kept._bufferedBytes + kept._messageLength + CHUNK_BYTES * kept._buffers.length : 0
    if (unread === this.#unread) return
    this.#unread = unread
    this.#ondata?.(nothing)
  }

  get ondata(): (chunk: Uint8Array) => void {
    return this.#ondata ?? (() => {})
  }

  set ondata(f: (chunk: Uint8Array) => void) {
    this.#ondata = f
    if (!this.#paused) this.ws.resume()
  }

  send(messages: Uint8Array[][]): void {
    const { ws } = this
    if (ws.readyState !== WebSocket.OPEN) return
    const drained = () => {
      if (ws.bufferedAmount === 0) this.ondrain()
    }
    // ws cannot send several messages in one call: cork its socket, so that they leave in one write
    const socket = socketOf(ws)
    socket.cork()
    messages.forEach((parts, i) => {
      const last = i === messages.length - 1
      // header and payload are sent as two fragments of one message, so that they need not be copied together
      parts.forEach((part, j) => {
        const fin = j === parts.length - 1
        ws.send(part, { binary: true, fin }, last && fin ? drained : undefined)
      })
    })
    socket.uncork()
  }

  pause(): void {
    this.#paused = true
    this.ws.pause()
  }

  resume(): void {
    this.#paused = false
    // a pong that arrived in the meantime has not been read yet
    this.#alive = true
    this.ws.resume()
  }

  close(): void {
    this.#end(1000, '', CLOSE_TIMEOUT_MS)
  }

  destroy(reason?: Error): void {
    if (reason) this.#refuse(1002, reason.message, reason)
    else {
      this.ws.terminate()
      this.#gone(undefined)
    }
  }

  /** Closes with a code and a reason for the peer; the connection counts as closed from here on. */
  #refuse(code: number, why: string, reason: Error = fail('badMessage', why)): void {
    this.#end(code, Buffer.from(why).subarray(0, 120), CLOSE_TIMEOUT_MS)
    this.#gone(reason)
  }

  #end(code: number, why: string | Buffer, timeout: number): void {
    const { ws } = this
    if (ws.readyState !== WebSocket.OPEN) return
    this.#ondata = () => {}
    ws.resume()
    ws.close(code, why)
    const timer = setTimeout(() => ws.terminate(), timeout)
    timer.unref()
    ws.once('close', () => clearTimeout(timer))
  }

  #gone(reason: Error | undefined): void {
    if (this.#over) return
    this.#over = true
    this.#ondata = () => {}
    this.onclose(reason)
  }

  #ping(): void {
    // while paused, we cannot see a pong
    if (this.#paused || this.ws.readyState !== WebSocket.OPEN) return
    if (!this.#alive) {
      this.#reason ??= fail('hungUp', `${this.name}: no pong within ${PING_MS / 1000} s`)
      this.ws.terminate()
      return
    }
    this.#alive = false
    this.ws.ping()
  }
}

/** The options of `dialWebSocket`. */
export interface WebSocketOptions {
  /** Sent in the Authorization header, never in the URL. */
  token?: string | undefined
  /**
   * SHA-256 of the only certificate to accept, as `sha256:HEX`; its name and issuer are not checked then. If absent,
   * the certificate must be for the host's name and signed by an authority that this machine trusts.
   */
  fingerprint?: string | undefined
  headers?: Record<string, string>
}

/**
 * Connects to a WebSocket endpoint such as ws://127.0.0.1:5641/9p and offers subprotocol `9p`. For wss it uses TLS 1.3,
 * and sends nothing, least of all the token, before the peer has proved its identity.
 * @throws FsError `cannot reach URL: …`, `authentication required: …` for a 401, `certificate refused: …`, or
 *   `interrupted`
 */
export async function dialWebSocket(
  url: string,
  options: WebSocketOptions = {},
  signal?: AbortSignal,
): Promise<Transport> {
  const socket = new URL(url).protocol === 'wss:' ? await secureSocket(url, options.fingerprint, signal) : undefined
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      socket?.destroy()
      return reject(fail('interrupted'))
    }
    const headers = { ...options.headers, ...(options.token && { authorization: `Bearer ${options.token}` }) }
    const ws = new WebSocket(url, SUBPROTOCOL, {
      ...settings,
      headers,
      handshakeTimeout: DIAL_TIMEOUT_MS,
      ...(socket && { createConnection: () => socket }),
    })
    const abort = () => {
      reject(fail('interrupted'))
      ws.terminate()
    }
    signal?.addEventListener('abort', abort, { once: true })
    const settled = () => signal?.removeEventListener('abort', abort)
    ws.once('open', () => {
      settled()
      resolve(webSocketTransport(ws, url))
    })
    ws.on('unexpected-response', (request, { statusCode = 0 }) => {
      settled()
      const why = refusals[statusCode]
      reject(
        statusCode === 401
          ? fail('authRequired', `${url} rejected the token`)
          : fail('unreachable', `${url}: answered HTTP ${statusCode} instead of a WebSocket${why ? `; ${why}` : ''}`),
      )
      request.destroy()
    })
    ws.once('error', error => {
      settled()
      reject(fail('unreachable', `${url}: ${connectError(error)}`, error))
    })
    // needed after a refusal, too: a destroyed request emits one more error
    ws.on('error', () => {})
  })
}

const refusals: Readonly<Record<number, string>> = {
  403: 'use one of the names in the setting "names" of that server',
  404: 'check the path of the address, usually /9p',
}

/** Opens a TLS connection whose peer has proved its identity. */
function secureSocket(url: string, fingerprint: string | undefined, signal?: AbortSignal): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(fail('interrupted'))
    const { hostname, port } = new URL(url)
    const host = hostname.replace(/^\[(.*)\]$/, '$1')
    const socket = connectTls({
      host,
      port: Number(port || 443),
      servername: isIP(host) ? '' : host,
      minVersion: 'TLSv1.3',
      rejectUnauthorized: fingerprint === undefined,
    })
    const failed = (error: Error) => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
      socket.destroy()
      if (error instanceof FsError) return reject(error)
      const refused = socket.authorizationError ? 'certificateRefused' : 'unreachable'
      reject(fail(refused, `${url}: ${connectError(error)}`, error))
    }
    const abort = () => failed(fail('interrupted'))
    const timer = setTimeout(
      () => failed(fail('unreachable', `${url}: no TLS within ${DIAL_TIMEOUT_MS / 1000} s`)),
      DIAL_TIMEOUT_MS,
    )
    signal?.addEventListener('abort', abort, { once: true })
    // this listener stays: the WebSocket reports later errors, and the socket emits them here as well
    socket.on('error', failed)
    socket.once('secureConnect', () => {
      const found = fingerprintOf(socket.getPeerX509Certificate())
      if (fingerprint !== undefined && found !== fingerprint)
        return failed(
          fail('certificateRefused', `${url}: the fingerprint of the certificate is ${found}, expected ${fingerprint}`),
        )
      clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
      resolve(socket)
    })
  })
}

/** SHA-256 of a certificate's DER, in the form in which it is shown and pinned: `sha256:HEX`. */
export const fingerprintOf = (certificate: X509Certificate | undefined): string =>
  certificate ? `sha256:${certificate.fingerprint256.replaceAll(':', '').toLowerCase()}` : 'no certificate'

const server = new WebSocketServer({
  noServer: true,
  clientTracking: false,
  ...settings,
  // a browser fails the connection if the server picks a subprotocol that it did not offer, and `bearer.TOKEN` must not
  // be echoed
  handleProtocols: offered => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
})

/**
 * Completes an HTTP upgrade whose Host, Origin and token have been checked, with subprotocol `9p` if it was offered.
 * @throws FsError `bad message` if the request is not a WebSocket handshake; it has been answered and closed then
 */
export function upgradeWebSocket(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<Transport> {
  return new Promise((resolve, reject) => {
    const refused = () => reject(fail('badMessage', 'not a WebSocket handshake'))
    socket.once('close', refused)
    server.handleUpgrade(request, socket, head, ws => {
      socket.off('close', refused)
      const { remoteAddress, remotePort } = request.socket
      resolve(webSocketTransport(ws, `ws!${remoteAddress}!${remotePort}`))
    })
  })
}
