import type { IncomingMessage } from 'node:http'
import { bare, isLoopback, isNumeric, isWildcard } from './exposure.js'

/** What there is over HTTP: the tree, and where workers, hosts and other clusters join. */
export const PATH = '/9p'
export const JOIN_PATH = '/join'

/** What a listener was told to be called. */
export interface Listening {
  /** Where it listens. */
  readonly host: string
  /** What else clients may call it. */
  readonly names: readonly string[]
  readonly tls: boolean
  /** Whether there is a cluster to join. */
  readonly join: boolean
}

/**
 * Whether a request may become a WebSocket, in this order: the path, the Host, the Origin, that it asks for one at all. What
 * it must still prove is the token that is returned ('' for none); else the status that refuses it.
 */
export function examine(
  request: IncomingMessage,
  on: Listening,
): { join: boolean; token: string } | { status: number } {
  const join = on.join && request.url === JOIN_PATH
  if (!join && request.url !== PATH) return { status: 404 }
  const host = request.headers.host ?? ''
  if (!ownHost(host, request.socket.localAddress, on)) return { status: 403 }
  // Only browsers send an Origin, and they send one with every WebSocket: any page may open one to us, ours alone shall.
  // No browser joins.
  const { origin } = request.headers
  if (origin !== undefined && join) return { status: 403 }
  if (origin !== undefined && origin.toLowerCase() !== `${on.tls ? 'https' : 'http'}://${host.toLowerCase()}`)
    return { status: 403 }
  if (request.method !== 'GET' || request.headers.upgrade?.toLowerCase() !== 'websocket') return { status: 426 }
  return { join, token: tokenOf(request) }
}

/**
 * Against DNS rebinding, where a foreign name is made to point here: loopback, the address listened on, a configured name.
 * Who listens on all addresses may be called by the number that the connection came in on, for no name can pretend that.
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

/** `Authorization: Bearer TOKEN`, or, from a browser, which cannot set headers, a second subprotocol `bearer.TOKEN`. */
function tokenOf(request: IncomingMessage): string {
  const [, bearer] = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '') ?? []
  if (bearer !== undefined) return bearer
  const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map(one => one.trim())
  return offered.find(one => one.startsWith('bearer.'))?.slice('bearer.'.length) ?? ''
}
