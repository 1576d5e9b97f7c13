/** `llamboctl cat`: prints files of the namespace as their content arrives. */

import type { Run } from '../../cli/command.js'
import { show, withFile } from '../../cli/files.js'
import { OREAD } from '../../fs/wire/protocol.js'

export const run: Run = async (io, args) => {
  const { root, client } = await io.connect()
  for (const path of args) {
    const names = io.names(path)
    await withFile(root, names, OREAD, io.signal, fid => show(io, names, fid))
  }
  client.close()
}
