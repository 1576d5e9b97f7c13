/** Refuses listening addresses that other machines can reach without a token and TLS. */
import { fail } from '../fs/base/errors.js'
import { isLoopback } from '../fs/host-name.js'

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
    `other machines can reach ${address}, so it needs ${missing.join(' and ')}; or listen on 127.0.0.1`,
  )
}
