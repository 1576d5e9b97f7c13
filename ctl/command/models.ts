import { OREAD } from '../../fs/protocol.js'
import { parseRecords } from '../../fs/quote.js'
import type { Run } from '../common/command.js'
import { readText, withFile } from '../common/files.js'
import { bytes, table } from '../common/output.js'

/** Files in models/ with what `status` knows of them: whether they are loaded, their context and digest. */
export const run: Run = async (io, _args, { json }) => {
  const { root, client } = await io.connect()
  const files = await withFile(root, ['models'], OREAD, io.signal, fid => fid.list(io.signal))
  const records = parseRecords(await readText(root, ['status'], io.signal)).filter(({ word }) => word === 'model')
  client.close()
  const models = new Map<
    string,
    { name: string; size: number; loaded: boolean; type?: string; context?: number; digest?: string }
  >()
  for (const { name, length } of files.filter(file => file.name.endsWith('.gguf'))) {
    const model = name.slice(0, -'.gguf'.length)
    models.set(model, { name: model, size: Number(length), loaded: false })
  }
  for (const { attrs } of records) {
    const { name = '', size, loaded, context, type, digest } = attrs
    models.set(name, {
      ...(models.get(name) ?? { name, size: Number(size ?? 0) }),
      loaded: loaded === 'yes',
      ...(type && { type }),
      ...(context && { context: Number(context) }),
      ...(digest && { digest }),
    })
  }
  const rows = [...models.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  if (json) return io.print(`${JSON.stringify(rows, null, 2)}\n`)
  const terminal = io.stdout.isTTY === true
  const cells = rows.map(row => [
    row.name,
    terminal ? bytes(row.size) : String(row.size),
    row.loaded ? 'yes' : 'no',
    row.context ? String(row.context) : '',
    terminal ? (row.digest ?? '').slice(0, 19) : (row.digest ?? ''),
  ])
  await io.print(table(['name', 'size', 'loaded', 'context', 'digest'], cells, terminal))
}
