import { chmodSync, lstatSync, mkdirSync, statSync, unlinkSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { dirname } from 'node:path'
import { sleep, systemClock } from './clock.js'
import { FsError, fail } from './errors.js'
import { DIAL_TIMEOUT_MS } from './limits.js'
import { checkPlace } from './place.js'
import { reasonOf } from './transport/reason.js'
import { admit } from './transport/room.js'
import { socketTransport } from './transport/socket.js'
import type { Transport } from './transport.js'

export type Address =
  | { kind: 'unix'; path: string }
  | { kind: 'tcp'; host: string; port: number }
  | { kind: 'ws'; url: string }

const forms = 'unix!PATH, tcp!HOST!PORT, ws://HOST:PORT/9p or wss://HOST/9p'
/** sun_path's 108 bytes with their NUL; macOS has 104. */
const MAX_SOCKET_PATH = process.platform === 'linux' ? 107 : 103

/** How long a unix socket whose queue is full is left alone, in ms. */
const FULL_PAUSE_MS = 50

/**
 * Reads a dial string (namespace.md, Reaching it).
 * @throws FsError `bad argument` that says what would be accepted
 */
export function parseAddress(address: string): Address {
  const bad = (why: string) => fail('badArgument', `address ${JSON.stringify(address)}: ${why}`)
  if (/^wss?:\/\//.test(address)) {
    if (!URL.canParse(address) || new URL(address).hash) throw bad(`no URL; ${forms}`)
    return { kind: 'ws', url: address }
  }
  const [net, ...rest] = address.split('!')
  if (net === 'unix' && rest.length > 0) {
    const path = rest.join('!')
    if (path === '') throw bad('the path is missing: unix!PATH')
    const length = Buffer.byteLength(path)
    if (length > MAX_SOCKET_PATH)
      throw bad(`a socket's path of ${length} bytes: at most ${MAX_SOCKET_PATH}, use a shorter one`)
    return { kind: 'unix', path }
  }
  if (net === 'tcp' && rest.length > 0) {
    const [host, port, ...more] = rest
    if (!host || !port || more.length > 0) throw bad('host or port is missing: tcp!HOST!PORT')
    if (!/^\d{1,5}$/.test(port) || Number(port) > 65535) throw bad(`port ${port}: 0 to 65535`)
    return { kind: 'tcp', host: host.replace(/^\[(.*)\]$/, '$1'), port: Number(port) }
  }
  if (address.startsWith('/') || address.startsWith('.')) throw bad(`for a socket's path write unix!${address}`)
  throw bad(forms)
}

/**
 * Connects to a server. The connection is ready for `Client.connect` or `serve`; nothing has been said on it.
 * @param options.token sent at a WebSocket's upgrade; over unix and tcp it goes through Tauth (`Client.attach`)
 * @param options.fingerprint SHA-256 of a wss server's certificate, `sha256:HEX`, which then need not be signed by an authority
 * @param options.ownPlace a unix socket is trusted by the directory it lies in, which is checked first (`checkPlace`)
 * @throws FsError `cannot reach ADDRESS: …`, `certificate refused: …`, or `interrupted`
 */
export async function dial(
  address: string,
  options: { token?: string | undefined; fingerprint?: string | undefined; ownPlace?: boolean | undefined } = {},
  signal?: AbortSignal,
): Promise<Transport> {
  const to = parseAddress(address)
  if (to.kind === 'ws') {
    // loaded when needed: most programs talk to a unix socket only
    const { dialWebSocket } = await import('./transport/websocket.js')
    return dialWebSocket(to.url, options, signal)
  }
  for (const until = Date.now() + DIAL_TIMEOUT_MS; ; ) {
    try {
      return await dialSocket(address, to, options.ownPlace, signal)
    } catch (error) {
      // unix(7): the queue of a server that is busy is full; over tcp the kernel waits by itself
      const busy = error instanceof FsError && (error.cause as NodeJS.ErrnoException | undefined)?.code === 'EAGAIN'
      if (!busy || Date.now() > until) throw error
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
      reject(error instanceof FsError ? error : fail('unreachable', `${address}: ${reasonOf(error)}`, error))
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
 * Listens on a unix socket or tcp port; `accept` gets each connection and must set its `ondata` at once. The directory
 * of a unix socket is made with mode 0700, the socket with 0600; one that a dead server left is replaced.
 * @param told gets a line when connections begin to be refused, and when there is room again
 * @returns the address as dialled (with the port that `tcp!HOST!0` was given) and `close`, which stops listening and leaves
 *   connections to their owners
 * @throws FsError `address in use: …` where another server lives
 */
export async function listen(
  address: string,
  accept: (transport: Transport) => void,
  told?: (line: string) => void,
): Promise<{ address: string; close(): Promise<void> }> {
  const at = parseAddress(address)
  if (at.kind === 'ws') throw fail('badArgument', `address ${address}: listenHttp serves it, listen takes unix and tcp`)
  let count = 0
  const server = createServer(socket => {
    if (admit(socket, told)) accept(socketTransport(socket, nameOf(address, socket, ++count)))
  })
  if (at.kind === 'unix') await listenUnix(server, address, at.path)
  else await started(server, address, () => server.listen({ host: at.host === '*' ? '::' : at.host, port: at.port }))
  // what fails later fails for one connection, which has its own handler; the listener lives on
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

/** For traces: a tcp peer by its address, a unix one by its number in order of arrival. */
function nameOf(address: string, socket: Socket, count: number): string {
  return socket.remoteAddress ? `tcp!${socket.remoteAddress}!${socket.remotePort}` : `${address} ${count}`
}

function started(server: Server, address: string, begin: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException) =>
      reject(
        error.code === 'EADDRINUSE'
          ? fail('addressInUse', `${address}: another server listens there; stop it or choose another`, error)
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
    // Probe, removal and bind are apart by no turn of the loop more than they must: two servers that start at once and
    // both find the socket stale must not remove each other's.
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

/** Makes the socket's directory, or sees that nobody else could put a socket of his own there. */
function prepareDirectory(dir: string): void {
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  const { uid, mode } = statSync(dir)
  const own = process.getuid?.()
  if (own === undefined) return
  if (uid !== own && uid !== 0)
    throw fail('permission', `${dir} belongs to another user; choose a directory of your own`)
  if (mode & 0o022 && !(mode & 0o1000)) throw fail('permission', `others may write in ${dir}; chmod 700 ${dir}`)
}

/** Which socket there is on which nobody listens any more; undefined where there is nothing. */
async function probe(address: string, path: string): Promise<string | undefined> {
  const found = identity(path)
  if (!found) return undefined
  if (!lstatSync(path).isSocket()) throw fail('exists', `${path} is no socket; remove it or choose another path`)
  const live = await new Promise<boolean>(resolve => {
    const socket = connect({ path })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    // only a refusal proves that nobody listens
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'ECONNREFUSED'))
  })
  if (live) throw fail('addressInUse', `${address}: another server listens there; stop it or choose another`)
  return found
}

/** Inodes are used again at once, so that only with its time one names a socket. */
function identity(path: string): string | undefined {
  const found = lstatSync(path, { bigint: true, throwIfNoEntry: false })
  return found && `${found.ino} ${found.ctimeNs}`
}
