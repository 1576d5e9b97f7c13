/** `llamboctl write`: writes its arguments or standard input to a file of the namespace. */

import type { Run } from '../../cli/command.js'
import { withFile } from '../../cli/files.js'
import { OTRUNC, OWRITE } from '../../fs/wire/protocol.js'
import { writeInput } from './input.js'

export const run: Run = async (io, [path = '', ...words], { append }) => {
  const { root, client } = await io.connect()
  await withFile(root, io.names(path), append ? OWRITE : OWRITE | OTRUNC, io.signal, async fid => {
    // a file that reports no length, such as `ctl`, keeps what is there by itself
    await writeInput(io, fid, words, append ? Number((await fid.stat(io.signal)).length) : 0)
    // a file that checks its content only when it is complete reports errors here, because an error of the clunk would
    // be lost
    await fid.finish(io.signal)
  })
  client.close()
}
