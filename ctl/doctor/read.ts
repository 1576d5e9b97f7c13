/** Reads whole files of a server for what doctor finds out there. */
import type { Fid } from '../../fs/client.js'
import { OREAD } from '../../fs/protocol.js'
import { connect } from '../common/connect.js'
import { drain, withFile } from '../common/files.js'

/** All of a file, as text. */
export async function readText(root: Fid, path: readonly string[], signal: AbortSignal): Promise<string> {
  const decoder = new TextDecoder()
  let all = ''
  const add = async (data: Uint8Array) => {
    all += decoder.decode(data, { stream: true })
  }
  await withFile(root, path, OREAD, signal, fid => drain(fid, add, signal))
  return all
}

/** Does something with the tree of the server at an address, on a connection of its own. */
export async function withTree<T>(address: string, signal: AbortSignal, use: (root: Fid) => Promise<T>): Promise<T> {
  const { root, client } = await connect(address, {}, signal)
  try {
    return await use(root)
  } finally {
    client.close()
  }
}
