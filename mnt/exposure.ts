import { isIPv4, isIPv6 } from 'node:net'
import { fail } from '../fs/errors.js'

/** A host as it stands in an address: `[::1]` without its brackets, in lower case. */
export const bare = (host: string): string => host.replace(/^\[(.*)\]$/, '$1').toLowerCase()

/** Whether a host's name or number is one that only this machine reaches. */
export function isLoopback(host: string): boolean {
  const name = bare(host)
  return name === 'localhost' || name === '::1' || (isIPv4(name) && name.startsWith('127.'))
}

/** Whether it stands for all of a machine's addresses. */
export const isWildcard = (host: string): boolean => ['', '*', '0.0.0.0', '::'].includes(bare(host))

export const isNumeric = (host: string): boolean => isIPv4(host) || isIPv6(host)

/**
 * Refuses to listen where other machines can reach a server that does not ask who they are, or that lets everybody on the
 * way read along. A unix socket needs no asking: its directory lets nobody else in.
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
