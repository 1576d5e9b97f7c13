import type { Upstream } from '../../cluster/host/process.js'
import { dial } from '../../fs/dial.js'
import type { Transport } from '../../fs/transport.js'

/** Opens a connection to a cluster that a worker, a host or a cluster joins. */
export function dialUpstream({ address, token }: Upstream, signal: AbortSignal): Promise<Transport> {
  return dial(address, token === undefined ? {} : { token }, signal)
}
