/** Dial strings, and the unix sockets and TCP connections that they name: parse, dial, listen. */
import { chmodSync, lstatSync, mkdirSync, statSync, unlinkSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { dirname } from 'node:path'
import { sleep, systemClock } from './base/clock.js'
import { FsError, fail } from './base/errors.js'
import { DIAL_TIMEOUT_MS } from './base/limits.js'
import { checkPlace } from './place.js'
import { connectError } from './transport/connect-error.js'
import { admitConnection } from './transport/connection-limit.js'
import { socketTransport } from './transport/socket.js'
import type { Transport } from './transport.js'

/** Where a dial string leads. */
export type Address =
  | { kind: 'unix'; path: string }
  | { kind: 'tcp'; host: string; port: number }
  | { kind: 'ws'; url: string }

const forms = 'unix!PATH, tcp!HOST!PORT, ws://HOST:PORT/9p or wss://HOST/9p'
/** The longest path of a unix socket: sun_path has 108 bytes with the NUL, 104 on macOS. */
const MAX_SOCKET_PATH = process.platform === 'linux' ? 107 : 103

/** How long to wait before the next connection to a unix socket whose queue is full, in ms. */
const FULL_PAUSE_MS = 50

/**
 * Parses a dial string, such as `unix!/run/llambo/9p` or `tcp!127.0.0.1!5640`.
 * @throws FsError `bad argument` with what would be accepted
 */
export function parseAddress(address: string): Address {
  const bad = (why: string) => fail('badArgument', `address ${JSON.stringify(address)}: ${why}`)
  if (/^wss?:\/\//.test(address)) {
    if (!URL.canParse(address) || new URL(address).hash) throw bad(`not a valid URL; expected ${forms}`)
    return { kind: 'ws', url: address }
  }
  const [net, ...rest] = address.split('!')
  if (net === 'unix' && rest.length > 0) {
    const path = rest.join('!')
    if (path === '') throw bad('missing path; expected unix!PATH')
    const length = Buffer.byteLength(path)
    if (length > MAX_SOCKET_PATH)
      throw bad(`the path has ${length} bytes, at most ${MAX_SOCKET_PATH}; use a shorter one`)
    return { kind: 'unix', path }
  }
  if (net === 'tcp' && rest.length > 0) {
    const [host, port, ...more] = rest
    if (!host || !port || more.length > 0) throw bad('missing host or port; expected tcp!HOST!PORT')
    if (!/^\d{1,5}$/.test(port) || Number(port) > 65535) throw bad(`expected a port from 0 to 65535, not ${port}`)
    return { kind: 'tcp', host: host.replace(/^\[(.*)\]$/, '$1'), port: Number(port) }
  }
  if (address.startsWith('/') || address.startsWith('.')) throw bad(`for the path of a socket write unix!${address}`)
  throw bad(`expected ${forms}`)
}

/**
 * Connects to a server. The connection is ready for `Client.connect` or `serve`; nothing has been sent on it.
 * @param options.token sent at a WebSocket's upgrade; over unix and tcp it goes through Tauth instead (`Client.attach`)
 * @param options.fingerprint SHA-256 of a wss server's certificate, `sha256:HEX`, which then need not be signed by an
 *   authority
 * @param options.ownPlace first checks that no other user could have put the unix socket into its directory
 *   (`checkPlace`)
 * @throws FsError `cannot reach ADDRESS: …`, `certificate refused: …`, or `interrupted`
 */
export async function dial(
  address: string,
  options: { token?: string | undefined; fingerprint?: string | undefined; ownPlace?: boolean | undefined } = {},
  signal?: AbortSignal,
): Promise<Transport> {
  const to = parseAddress(address)
  if (to.kind === 'ws') {
    // loaded on demand: most programs talk to a unix socket only
    const { dialWebSocket } = await import('./transport/websocket.js')
    return dialWebSocket(to.url, options, signal)
  }
  for (const until = systemClock.now() + DIAL_TIMEOUT_MS; ; ) {
    try {
      return await dialSocket(address, to, options.ownPlace, signal)
    } catch (error) {
      // unix(7): EAGAIN means that the server's queue is full because it is busy; over TCP the kernel waits by itself
      const busy = error instanceof FsError && (error.cause as NodeJS.ErrnoException | undefined)?.code === 'EAGAIN'
      if (!busy || systemClock.now() > until) throw error
    }
    await sleep(systemClock, FULL_PAUSE_MS, signal).catch(() => {
      throw fail('interrupted')
    })
  }
}

function dialSocket(
  address: string,
  to: Exclude<Address, { kind: 'ws' }>,
  ownPlace: boolean | undefined,
  signal: AbortSignal | undefined,
): Promise<Transport> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(fail('interrupted'))
    if (to.kind === 'unix' && ownPlace) checkPlace(dirname(to.path))
    const socket = connect(to.kind === 'unix' ? { path: to.path } : { host: to.host, port: to.port })
    const failed = (error: Error) => {
      signal?.removeEventListener('abort', abort)
      reject(error instanceof FsError ? error : fail('unreachable', `${address}: ${connectError(error)}`, error))
    }
    const abort = () => socket.destroy(fail('interrupted'))
    signal?.addEventListener('abort', abort, { once: true })
    socket.once('error', failed)
    socket.once('connect', () => {
      signal?.removeEventListener('abort', abort)
      socket.off('error', failed)
      resolve(socketTransport(socket, address))
    })
  })
}

/**
 * Listens on a unix socket or TCP port. `accept` is called with each connection and must set its `ondata` at once. The
 * directory of a unix socket is created with mode 0700, the socket with 0600; a socket that a dead server left is
 * replaced.
 * @param told called with a line when connections begin to be refused, and when there is room again
 * @returns the address as dialled (with the port that `tcp!HOST!0` was assigned) and `close`, which stops listening and
 *   leaves open connections alone
 * @throws FsError `address in use: …` if another server is running there
 */
export async function listen(
  address: string,
  accept: (transport: Transport) => void,
  told?: (line: string) => void,
): Promise<{ address: string; close(): Promise<void> }> {
  const at = parseAddress(address)
  if (at.kind === 'ws')
    throw fail('badArgument', `address ${address}: listen accepts unix and tcp only; use listenHttp`)
  let count = 0
  const server = createServer(socket => {
    if (admitConnection(socket, told)) accept(socketTransport(socket, nameOf(address, socket, ++count)))
  })
  if (at.kind === 'unix') await listenUnix(server, address, at.path)
  else await started(server, address, () => server.listen({ host: at.host === '*' ? '::' : at.host, port: at.port }))
  // later errors concern a single connection, which has its own handler; the listener continues
  server.on('error', () => {})
  const port = server.address()
  return {
    address: at.kind === 'tcp' && port && typeof port === 'object' ? `tcp!${at.host}!${port.port}` : address,
    close: () =>
      new Promise(resolve => {
        server.close()
        setImmediate(resolve)
      }),
  }
}

/** The name of a connection in traces: a TCP peer's address, or the number of a unix connection in order of arrival. */
function nameOf(address: string, socket: Socket, count: number): string {
  return socket.remoteAddress ? `tcp!${socket.remoteAddress}!${socket.remotePort}` : `${address} ${count}`
}

function started(server: Server, address: string, begin: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException) =>
      reject(
        error.code === 'EADDRINUSE'
          ? fail('addressInUse', `${address}: another server listens there; stop it or choose another address`, error)
          : fail('unreachable', `${address}: ${error.message}`, error),
      )
    server.once('error', failed)
    server.once('listening', () => {
      server.off('error', failed)
      resolve()
    })
    begin()
  })
}

async function listenUnix(server: Server, address: string, path: string): Promise<void> {
  prepareDirectory(dirname(path))
  const stale = await probe(address, path)
  await started(server, address, () => {
    // Check, removal and bind happen in one turn of the event loop: of two servers that start at once and both find a
    // stale socket, neither may remove the other's new one.
    if (stale !== undefined && identity(path) === stale) unlinkSync(path)
    const mask = process.umask(0o177)
    try {
      server.listen({ path })
    } finally {
      process.umask(mask)
    }
  })
  chmodSync(path, 0o600)
}

/** Creates the socket's directory, or checks that no other user can put their own socket there. */
function prepareDirectory(dir: string): void {
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  const { uid, mode } = statSync(dir)
  const own = process.getuid?.()
  if (own === undefined) return
  if (uid !== own && uid !== 0)
    throw fail('permission', `${dir} belongs to another user; choose a directory of your own`)
  if (mode & 0o022 && !(mode & 0o1000)) throw fail('permission', `other users may write to ${dir}; chmod 700 ${dir}`)
}

/**
 * The identity of a stale socket, on which no one listens any more; undefined if there is no file. Throws if a server
 * listens on it, or if it is not a socket.
 */
async function probe(address: string, path: string): Promise<string | undefined> {
  const found = identity(path)
  if (!found) return undefined
  if (!lstatSync(path).isSocket()) throw fail('exists', `${path} is not a socket; remove it or choose another path`)
  const live = await new Promise<boolean>(resolve => {
    const socket = connect({ path })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    // only ECONNREFUSED proves that no one listens
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'ECONNREFUSED'))
  })
  if (live) throw fail('addressInUse', `${address}: another server listens there; stop it or choose another address`)
  return found
}

/**
 * The identity of a file. The inode alone does not identify it, because file systems reuse inode numbers at once; with
 * its change time it does.
 */
function identity(path: string): string | undefined {
  const found = lstatSync(path, { bigint: true, throwIfNoEntry: false })
  return found && `${found.ino} ${found.ctimeNs}`
}
