/** Reaches a server for what doctor finds out there. */
import type { Fid } from '../../fs/client.js'
import { connect } from '../common/connect.js'

/** Does something with the tree of the server at an address, on a connection of its own. */
export async function withTree<T>(address: string, signal: AbortSignal, use: (root: Fid) => Promise<T>): Promise<T> {
  const { root, client } = await connect(address, {}, signal)
  try {
    return await use(root)
  } finally {
    client.close()
  }
}
