import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { fail } from '../fs/errors.js'
import type { User } from '../fs/file.js'
import { admit } from '../fs/transport/room.js'
import { upgradeWebSocket } from '../fs/transport/websocket.js'
import type { Transport } from '../fs/transport.js'
import * as limits from './limits.js'
import { examine, PATH } from './upgrade.js'

export interface HttpOptions {
  readonly host: string
  /** 0: any that is free. */
  readonly port: number
  /** What clients may call this server in their Host header, besides loopback names and `host`. */
  readonly names?: readonly string[]
  /** PEM; TLS 1.3 only. */
  readonly tls?: { readonly cert: string; readonly key: string }
  /** The user a token stands for; it is '' where none was given. */
  authenticate(token: string): User | undefined
  /** Takes a connection whose user has proved himself. */
  accept(transport: Transport, user: User): void
  /** What joins at /join; without, nothing is there. The other end serves, we are its client. */
  readonly join?: {
    /** Whether a token, '' where none was given, lets its holder join. */
    verify(token: string): boolean
    accept(transport: Transport): void
  }
  /** Gets a line when connections begin to be refused, and when there is room again. */
  told?(line: string): void
}

/** An answer without a body that ends the connection. 401 must say how to do better (RFC 9110), 426 as well. */
const extra: Readonly<Record<number, Readonly<Record<string, string>>>> = {
  401: { 'WWW-Authenticate': 'Bearer' },
  426: { Upgrade: 'websocket' },
}
const headers = (status: number) => ({ ...extra[status], 'Content-Length': '0', Connection: 'close' })

/**
 * Listens for HTTP, on which there are WebSockets and nothing else: at /9p and, where one may join, at /join. Host, Origin
 * and token are checked before it is one. All else is answered with an empty 404, 403, 426 or 401.
 * @returns where it listens; `close` stops that and drops who has not got in, while accepted connections are the acceptor's
 * @throws listen(2)'s own error, with its `code`; FsError `bad argument` where certificate and key do not fit together
 */
export async function listenHttp(o: HttpOptions): Promise<{ address: string; close(): Promise<void> }> {
  const on = { host: o.host, names: o.names ?? [], tls: o.tls !== undefined, join: o.join !== undefined }
  const server = makeServer(o)
  const gate = new Gate(server, o.told)

  /** Who takes a connection with that token; nobody, if it is not good for this. */
  const entering = (token: string) => {
    const user = o.authenticate(token)
    return user && ((transport: Transport) => o.accept(transport, user))
  }
  const joining = (token: string) => (o.join?.verify(token) ? o.join.accept : undefined)

  const plain = (request: IncomingMessage, response: ServerResponse) => {
    const verdict = examine(request, on)
    // What asks properly comes as `upgrade`; a header that Node did not take for one does not get further here.
    response
      .writeHead('status' in verdict ? verdict.status : 426, headers('status' in verdict ? verdict.status : 426))
      .end()
  }
  server.on('request', plain)
  // Nobody is asked to go on and send a body.
  server.on('checkContinue', plain)
  server.on('checkExpectation', plain)

  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    // Until the transport takes over; a peer that hangs up early is no news.
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
  // A listening socket's later errors (no descriptors left) concern single connections.
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

/** Answers on a socket that Node has handed over, and closes it even if the peer does not. */
function refuse(socket: Duplex, status: number): void {
  if (socket.destroyed) return
  const lines = Object.entries(headers(status)).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('')}\r\n`)
  socket.resume()
  setTimeout(() => socket.destroy(), limits.LINGER_MS).unref()
}

/** Keeps count of the sockets that have proved nothing yet, by where they come from, and lets only so many be. */
class Gate {
  /** By both ends' address and port, under which a TLS socket is the same as the bare one below it. */
  readonly #unproven = new Map<string, Socket>()
  readonly #count = new Map<string, number>()

  constructor(server: Server, told?: (line: string) => void) {
    // Under TLS this is the bare socket, before any handshake.
    server.on('connection', (socket: Socket) => {
      if (admit(socket, told)) this.#came(socket)
    })
  }

  #came(socket: Socket): void {
    const { remoteAddress: from } = socket
    const count = this.#count.get(from ?? '') ?? 0
    if (from === undefined || count >= limits.MAX_UNPROVEN) return void socket.destroy()
    // a machine has more addresses than one: all of 127/8, or a network's part of IPv6
    if (this.#unproven.size >= limits.MAX_UNPROVEN_IN_ALL) this.#dropOldest()
    const key = keyOf(socket)
    this.#count.set(from, count + 1)
    this.#unproven.set(key, socket)
    socket.once('close', () => this.#gone(from, key))
  }

  #dropOldest(): void {
    for (const [key, oldest] of this.#unproven) {
      // closed, it no longer says the address that it is counted by
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

  /** A connection has shown its token. */
  passed(socket: Socket): void {
    this.#gone(socket.remoteAddress ?? '', keyOf(socket))
  }

  close(): void {
    for (const socket of this.#unproven.values()) socket.destroy()
  }
}

const keyOf = (socket: Socket): string => `${socket.remoteAddress} ${socket.remotePort}`
