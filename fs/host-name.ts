/** Host names and addresses as they stand in dial strings and URLs. */
import { isIPv4, isIPv6 } from 'node:net'

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
