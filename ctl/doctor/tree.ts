/** Connects to a server for the checks of doctor that ask it. */

import { connect } from '../../cli/connect.js'
import type { Fid } from '../../fs/client/client.js'

/**
 * Runs `use` on the tree of a server, over a connection of its own, and closes the connection.
 * @throws as `connect` and `use`
 */
export async function withTree<T>(address: string, signal: AbortSignal, use: (root: Fid) => Promise<T>): Promise<T> {
  const { root, client } = await connect(address, {}, signal)
  try {
    return await use(root)
  } finally {
    client.close()
  }
}
