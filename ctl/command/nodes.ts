/** `llamboctl nodes`: lists the workers. */

import type { Run } from '../../cli/command.js'
import { readText } from '../../cli/files.js'
import { table } from '../../cli/output.js'
import { WORKER, worker } from '../../cli/summary.js'
import { sanitize } from '../../cli/terminal/sanitize.js'
import { parseRecords } from '../../fs/base/quote.js'

/** Prints one row for each worker in `status`. */
export const run: Run = async (io, _args, { json }) => {
  const { root, client } = await io.connect()
  const records = parseRecords(await readText(root, ['status'], io.signal))
  client.close()
  const workers = records
    .filter(({ word }) => word === 'worker')
    .map(({ attrs }) => attrs)
    .sort((a, b) => ((a.name ?? '') < (b.name ?? '') ? -1 : 1))
  if (json) return io.print(`${JSON.stringify(workers, null, 2)}\n`)
  const terminal = io.stdout.isTTY === true
  const text = table(WORKER, workers.map(worker), terminal)
  await io.print(terminal ? sanitize(text) : text)
}
