import { OREAD } from '../../fs/protocol.js'
import type { Run } from '../common/command.js'
import { drain, withFile } from '../common/files.js'

export const run: Run = async (io, args) => {
  const { root, client } = await io.connect()
  for (const path of args) {
    await withFile(root, io.names(path), OREAD, io.signal, fid => drain(fid, data => io.print(data), io.signal))
  }
  client.close()
}
