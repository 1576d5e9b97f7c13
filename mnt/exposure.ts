/** Host names of listening addresses: which of them other machines can reach, and what a server needs there. */
import { isIPv4, isIPv6 } from 'node:net'
import { fail } from '../fs/errors.js'

/** A host in lower case, without the brackets that an IPv6 address has in a URL (`[::1]`). */
export const bare = (host: string): string => host.replace(/^\[(.*)\]$/, '$1').toLowerCase()

/** Whether only this machine can reach the host name or address. */
export function isLoopback(host: string): boolean {
  const name = bare(host)
  return name === 'localhost' || name === '::1' || (isIPv4(name) && name.startsWith('127.'))
}

/** Whether the host stands for all of a machine's addresses. */
export const isWildcard = (host: string): boolean => ['', '*', '0.0.0.0', '::'].includes(bare(host))

export const isNumeric = (host: string): boolean => isIPv4(host) || isIPv6(host)

/**
 * Refuses an address that other machines can reach unless the server has both a token and TLS. Without the token it
 * would let anybody in; without TLS everybody on the way could read along. A unix socket needs neither: the permissions
 * of its directory keep other users out.
 * @throws FsError `permission denied` with the remedy
 */
export function checkExposure(address: string, host: string, has: { token: boolean; tls: boolean }): void {
  if (isLoopback(host)) return
  const missing = [...(has.token ? [] : ['a token (auth: token)']), ...(has.tls ? [] : ['TLS (wss://)'])]
  if (missing.length === 0) return
  throw fail(
    'notPermitted',
    `${address} can be reached from other machines and needs ${missing.join(' and ')}; or listen on 127.0.0.1`,
  )
}
