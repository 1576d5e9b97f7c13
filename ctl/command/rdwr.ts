import { ORDWR } from '../../fs/protocol.js'
import type { Run } from '../common/command.js'
import { drain, withFile } from '../common/files.js'
import { writeInput } from './input.js'

export const run: Run = async (io, [path = '', ...words]) => {
  const { root, client } = await io.connect()
  await withFile(root, io.names(path), ORDWR, io.signal, async fid => {
    await writeInput(io, fid, words)
    await drain(fid, data => io.print(data), io.signal)
  })
  client.close()
}
