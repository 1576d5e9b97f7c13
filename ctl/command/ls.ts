/** `llamboctl ls`: lists directories of the namespace. */

import type { Run } from '../../cli/command.js'
import { named, promptly } from '../../cli/files.js'
import { isDirectory, modeText, timeText } from '../../cli/listing.js'
import { bytes, table } from '../../cli/output.js'
import { sanitize } from '../../cli/terminal/sanitize.js'
import type { Fid } from '../../fs/client/client.js'
import { OREAD, type Stat } from '../../fs/wire/protocol.js'

export const run: Run = async (io, args, { long }) => {
  const { root, client } = await io.connect()
  const terminal = io.stdout.isTTY === true
  const { blue } = io.colors(io.stdout)
  const paths = args.length > 0 ? args : ['/']
  for (const path of paths) {
    const names = io.names(path)
    const entries = (await named(names, () => list(root, names, long === true, io.signal))).sort((a, b) =>
      a.name < b.name ? -1 : 1,
    )
    if (paths.length > 1) await io.print(`${path}:\n`)
    // the server chooses the names, and a terminal would obey escape sequences in them
    const shown = (text: string) => (terminal ? sanitize(text).replace(/[\n\t]/g, '\ufffd') : text)
    const label = (entry: Stat) => (isDirectory(entry) ? blue(shown(entry.name)) : shown(entry.name))
    if (!long) await io.print(entries.map(entry => `${label(entry)}\n`).join(''))
    else {
      const rows = entries.map(entry => [
        modeText(entry),
        shown(entry.uid),
        terminal ? bytes(Number(entry.length)) : String(entry.length),
        timeText(entry.mtime),
        label(entry),
      ])
      await io.print(table(['mode', 'owner', 'size', 'changed', 'name'], rows, terminal))
    }
  }
  client.close()
}

/** The entries of a directory, or the file itself where the path is not a directory. */
async function list(root: Fid, path: readonly string[], long: boolean, signal: AbortSignal): Promise<Stat[]> {
  const { fid, answer } = await promptly(root, path, signal, signal => root.ask(path, fid => fid.stat(signal), signal))
  try {
    if (!isDirectory(answer)) return [answer]
    await promptly(root, path, signal, signal => fid.open(OREAD, signal))
    // a large directory may take longer than `promptly` allows
    return await (long ? fid.stats(signal) : fid.list(signal))
  } finally {
    // not awaited: the next request is sent after it anyway, and a server that hangs must not hang the command
    fid.drop()
  }
}
