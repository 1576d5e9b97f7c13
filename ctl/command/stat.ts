/** `llamboctl stat`: prints all that is known about files of the namespace. */
import type { Run } from '../../cli/command.js'
import { named, promptly } from '../../cli/files.js'
import { statRecord } from '../../cli/listing.js'
import { shown } from '../../cli/ns-path.js'
import { sanitize } from '../../cli/terminal/sanitize.js'

export const run: Run = async (io, args) => {
  const { root, client } = await io.connect()
  for (const path of args) {
    const names = io.names(path)
    const stat = await named(names, async () => {
      const ask = (signal: AbortSignal) => root.ask(names, fid => fid.stat(signal), signal)
      const { fid, answer } = await promptly(root, names, io.signal, ask)
      fid.drop()
      return answer
    })
    const text = statRecord(shown(names), stat)
    await io.print(`${io.stdout.isTTY ? sanitize(text) : text}\n`)
  }
  client.close()
}
