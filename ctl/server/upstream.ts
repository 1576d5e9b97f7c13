/** Opens connections to the cluster that a worker, a host or a cluster joins. */

import { fail } from '../../api/errors.js'
import { isOwnPlace } from '../../cli/address.js'
import type { Upstream } from '../../cluster/host/process.js'
import { dial, parseAddress } from '../../fs/dial.js'
import { isLoopback } from '../../fs/host-name.js'
import type { Transport } from '../../fs/transport.js'

/**
 * Opens a connection to the cluster that a worker, a host or a cluster joins. All joins go through here, so that none
 * goes in clear beyond this machine. Without a fingerprint an authority that this machine trusts has to vouch for the
 * other end.
 * @throws FsError as `checkUpstream` and `dial`
 */
export async function dialUpstream(upstream: Upstream, signal?: AbortSignal): Promise<Transport> {
  checkUpstream(upstream)
  return dial(upstream.address, { ...upstream, ownPlace: isOwnPlace(upstream.address, process.env) }, signal)
}

/**
 * Checks an address to join.
 * @throws FsError `bad argument` where it cannot be joined at, or the traffic would go in clear
 */
export function checkUpstream({ address, fingerprint }: Upstream): void {
  const bad = (why: string) => fail('badArgument', `address ${address}: ${why}`)
  const at = parseAddress(address)
  if (at.kind === 'unix') return
  if (at.kind === 'tcp') throw bad('joining over plain 9P is not supported; use wss://HOST:PORT/join')
  const { protocol, hostname, pathname, username, password, search } = new URL(at.url)
  if (username || password || search) throw bad('a token must not be in the address; put it in $LLAMBO_TOKEN')
  if (!pathname.endsWith('/join')) throw bad('its path must be /join')
  if (protocol === 'wss:') return
  if (!isLoopback(hostname)) throw bad('the connection would not be encrypted; use wss://')
  if (fingerprint !== undefined) throw bad('a fingerprint needs TLS; use wss://')
}
