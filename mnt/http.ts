/**
 * The HTTP listener: accepts WebSockets at /9p and /join from clients that show a valid token, and refuses everything
 * else.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { fail } from '../fs/base/errors.js'
import type { User } from '../fs/file.js'
import { admitConnection } from '../fs/transport/connection-limit.js'
import { upgradeWebSocket } from '../fs/transport/websocket.js'
import type { Transport } from '../fs/transport.js'
import * as limits from './limits.js'
import { examine, PATH } from './upgrade.js'

export interface HttpOptions {
  readonly host: string
  /** 0: any free port. */
  readonly port: number
  /** Names that clients may use for this server in their Host header, besides loopback names and `host`. */
  readonly names?: readonly string[]
  /** PEM; TLS 1.3 only. */
  readonly tls?: { readonly cert: string; readonly key: string }
  /** Returns the user that a token stands for; the token is '' if the client sent none. */
  authenticate(token: string): User | undefined
  /** Takes over a connection whose user is authenticated. */
  accept(transport: Transport, user: User): void
  /**
   * Accepts peers at /join; if omitted, that path does not exist. The peer is the 9P server of the connection and we
   * are its client.
   */
  readonly join?: {
    /** Whether a token lets its holder join; it is '' if the peer sent none. */
    verify(token: string): boolean
    accept(transport: Transport): void
  }
  /** Called with a line when connections begin to be refused, and again when there is room. */
  told?(line: string): void
}

/** Headers that a status must have (RFC 9110): 401 says how to authenticate, 426 which protocol to ask for. */
const extra: Readonly<Record<number, Readonly<Record<string, string>>>> = {
  401: { 'WWW-Authenticate': 'Bearer' },
  426: { Upgrade: 'websocket' },
}
/** The headers of a response that has no body and ends the connection. */
const headers = (status: number) => ({ ...extra[status], 'Content-Length': '0', Connection: 'close' })

/**
 * Listens for HTTP and serves only WebSockets: at /9p and, if `join` is given, at /join. Host, Origin and token are
 * checked before a connection is upgraded. Every other request gets an empty 404, 403, 426 or 401.
 * @returns the address it listens on. `close` stops listening and drops connections that are not upgraded yet; upgraded
 * ones belong to whoever accepted them
 * @throws listen(2)'s own error, with its `code`; FsError `bad argument` if certificate and key do not belong together
 */
export async function listenHttp(o: HttpOptions): Promise<{ address: string; close(): Promise<void> }> {
  const on = { host: o.host, names: o.names ?? [], tls: o.tls !== undefined, join: o.join !== undefined }
  const server = makeServer(o)
  const gate = new Gate(server, o.told)

  /** The function that takes over a connection with this token; undefined if the token is not valid. */
  const entering = (token: string) => {
    const user = o.authenticate(token)
    return user && ((transport: Transport) => o.accept(transport, user))
  }
  const joining = (token: string) => (o.join?.verify(token) ? o.join.accept : undefined)

  const plain = (request: IncomingMessage, response: ServerResponse) => {
    const verdict = examine(request, on)
    // A proper upgrade arrives as the event `upgrade`. A request whose Upgrade header Node did not recognise ends here.
    response
      .writeHead('status' in verdict ? verdict.status : 426, headers('status' in verdict ? verdict.status : 426))
      .end()
  }
  server.on('request', plain)
  // A client that sends `Expect: 100-continue` gets the refusal, not a request for its body.
  server.on('checkContinue', plain)
  server.on('checkExpectation', plain)

  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    // A peer may hang up before the transport takes over the socket; that error is ignored.
    const ignore = () => undefined
    socket.on('error', ignore)
    const verdict = examine(request, on)
    if ('status' in verdict) return refuse(socket, verdict.status)
    const accept = verdict.join ? joining(verdict.token) : entering(verdict.token)
    if (!accept) return void setTimeout(() => refuse(socket, 401), limits.REFUSAL_DELAY_MS)
    gate.passed(request.socket)
    upgradeWebSocket(request, socket, head).then(
      transport => {
        socket.off('error', ignore)
        accept(transport)
      },
      () => socket.destroy(),
    )
  })

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(o.port, o.host, resolve)
  })
  // Once the server listens, its errors (no descriptors left) concern single connections.
  server.on('error', () => undefined)
  const { address, port, family } = server.address() as AddressInfo
  return {
    address: `${on.tls ? 'wss' : 'ws'}://${family === 'IPv6' ? `[${address}]` : address}:${port}${PATH}`,
    async close() {
      server.close()
      server.closeAllConnections()
      gate.close()
    },
  }
}

function makeServer({ tls }: HttpOptions): Server {
  const options = {
    headersTimeout: limits.HEADERS_TIMEOUT_MS,
    requestTimeout: limits.HEADERS_TIMEOUT_MS,
    connectionsCheckingInterval: limits.TIMEOUT_CHECK_MS,
    maxHeaderSize: limits.MAX_HEAD,
  }
  if (!tls) return createServer(options)
  try {
    return createTlsServer({ ...options, ...tls, minVersion: 'TLSv1.3', handshakeTimeout: limits.TLS_TIMEOUT_MS })
  } catch (e) {
    throw fail('badArgument', `tls.cert and tls.key: ${(e as Error).message}`, e)
  }
}

/** Sends a refusal on a socket that Node has handed over, and closes it even if the peer does not. */
function refuse(socket: Duplex, status: number): void {
  if (socket.destroyed) return
  const lines = Object.entries(headers(status)).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('')}\r\n`)
  socket.resume()
  setTimeout(() => socket.destroy(), limits.LINGER_MS).unref()
}

/** Limits the connections that have not shown a token yet, for each peer address and in all. */
class Gate {
  /** By the peer's address and port: a TLS socket has the same key as the plain socket below it. */
  readonly #unproven = new Map<string, Socket>()
  readonly #count = new Map<string, number>()

  constructor(server: Server, told?: (line: string) => void) {
    // With TLS this is the plain socket, before any handshake.
    server.on('connection', (socket: Socket) => {
      if (admitConnection(socket, told)) this.#came(socket)
    })
  }

  #came(socket: Socket): void {
    const { remoteAddress: from } = socket
    const count = this.#count.get(from ?? '') ?? 0
    if (from === undefined || count >= limits.MAX_UNPROVEN) return void socket.destroy()
    // One machine may have many addresses (all of 127/8, or the IPv6 addresses of its network), so the total has a
    // bound too.
    if (this.#unproven.size >= limits.MAX_UNPROVEN_IN_ALL) this.#dropOldest()
    const key = keyOf(socket)
    this.#count.set(from, count + 1)
    this.#unproven.set(key, socket)
    socket.once('close', () => this.#gone(from, key))
  }

  #dropOldest(): void {
    for (const [key, oldest] of this.#unproven) {
      // first, because a closed socket no longer has the address that it is counted by
      this.#gone(oldest.remoteAddress ?? '', key)
      oldest.destroy()
      return
    }
  }

  #gone(from: string, key: string): void {
    if (!this.#unproven.delete(key)) return
    const left = (this.#count.get(from) ?? 0) - 1
    if (left > 0) this.#count.set(from, left)
    else this.#count.delete(from)
  }

  /** Stops counting a connection that has shown its token. */
  passed(socket: Socket): void {
    this.#gone(socket.remoteAddress ?? '', keyOf(socket))
  }

  close(): void {
    for (const socket of this.#unproven.values()) socket.destroy()
  }
}

const keyOf = (socket: Socket): string => `${socket.remoteAddress} ${socket.remotePort}`
