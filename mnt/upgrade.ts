/** Checks an HTTP request that wants to become a WebSocket: path, Host, Origin and the token it carries. */
import type { IncomingMessage } from 'node:http'
import { bare, isLoopback, isNumeric, isWildcard } from '../fs/host-name.js'

/** The paths served over HTTP: the tree, and the one at which workers, hosts and other clusters join. */
export const PATH = '/9p'
export const JOIN_PATH = '/join'

/** The listener's own address and names, which a request is checked against. */
export interface Listening {
  /** The host it listens on. */
  readonly host: string
  /** Further names that clients may use for it. */
  readonly names: readonly string[]
  readonly tls: boolean
  /** Whether there is a cluster to join. */
  readonly join: boolean
}

/**
 * Checks whether a request may become a WebSocket: the path, then the Host, then the Origin, then that it asks for one
 * at all.
 * @returns the token it carries ('' for none), which the caller must still verify; or the status that refuses it
 */
export function examine(
  request: IncomingMessage,
  on: Listening,
): { join: boolean; token: string } | { status: number } {
  const join = on.join && request.url === JOIN_PATH
  if (!join && request.url !== PATH) return { status: 404 }
  const host = request.headers.host ?? ''
  if (!ownHost(host, request.socket.localAddress, on)) return { status: 403 }
  // Only browsers send an Origin, and they send one with every WebSocket. They let any page open a WebSocket to this
  // server; only a page of this server itself is accepted. A browser never joins.
  const { origin } = request.headers
  if (origin !== undefined && join) return { status: 403 }
  if (origin !== undefined && origin.toLowerCase() !== `${on.tls ? 'https' : 'http'}://${host.toLowerCase()}`)
    return { status: 403 }
  if (request.method !== 'GET' || request.headers.upgrade?.toLowerCase() !== 'websocket') return { status: 426 }
  return { join, token: tokenOf(request) }
}

/**
 * Whether a Host header names this server: loopback, the host it listens on, or a configured name. This stops DNS
 * rebinding, where an attacker makes a name of theirs resolve to this machine. A server that listens on all addresses
 * also accepts the numeric address that the connection came in on, because a name cannot imitate a number.
 */
function ownHost(header: string, local: string | undefined, on: Listening): boolean {
  const [, host] = /^(\[[0-9a-f:.]+\]|[^:[\]]+)(?::\d{1,5})?$/i.exec(header) ?? []
  if (host === undefined) return false
  const name = bare(host)
  if (isLoopback(name)) return true
  if (on.names.some(own => bare(own) === name)) return true
  if (!isWildcard(on.host)) return name === bare(on.host)
  return isNumeric(name) && name === bare((local ?? '').replace(/^::ffff:(?=\d+\.)/, ''))
}

/**
 * The token of `Authorization: Bearer TOKEN` or, from a browser, which cannot set headers, of a second subprotocol
 * `bearer.TOKEN`.
 */
function tokenOf(request: IncomingMessage): string {
  const [, bearer] = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '') ?? []
  if (bearer !== undefined) return bearer
  const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map(one => one.trim())
  return offered.find(one => one.startsWith('bearer.'))?.slice('bearer.'.length) ?? ''
}
