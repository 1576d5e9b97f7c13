import { OTRUNC, OWRITE } from '../../fs/protocol.js'
import type { Run } from '../common/command.js'
import { withFile } from '../common/files.js'
import { writeInput } from './input.js'

export const run: Run = async (io, [path = '', ...words], { append }) => {
  const { root, client } = await io.connect()
  await withFile(root, io.names(path), append ? OWRITE : OWRITE | OTRUNC, io.signal, async fid => {
    // where a file has no length (llambo's have none) it keeps what is there by itself
    await writeInput(io, fid, words, append ? Number((await fid.stat(io.signal)).length) : 0)
    // What a file finds wrong only when all is there, it says here: the error of a clunk is lost.
    await fid.finish(io.signal)
  })
  client.close()
}
