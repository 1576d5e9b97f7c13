/** `llamboctl nodes`: lists the workers. */

import { rows } from '../../api/record-file.js'
import { status } from '../../api/status.js'
import type { Run } from '../../cli/command.js'
import { readText } from '../../cli/files.js'
import { table } from '../../cli/output.js'
import { byName, WORKER, worker } from '../../cli/summary.js'
import { sanitize } from '../../cli/terminal/sanitize.js'

/** Prints one row for each worker in `status`. */
export const run: Run = async (io, _args, { json }) => {
  const { root, client } = await io.connect()
  const text = await readText(root, ['status'], io.signal)
  client.close()
  if (json) {
    const workers = rows(text, 'status').filter(({ record }) => record === 'worker')
    const named = workers.map(({ record: _, name = '', ...attrs }) => ({ name, ...attrs }))
    return io.print(`${JSON.stringify(named.sort(byName), null, 2)}\n`)
  }
  const terminal = io.stdout.isTTY === true
  const lines = table(WORKER, status.read(text).worker.toSorted(byName).map(worker), terminal)
  await io.print(terminal ? sanitize(lines) : lines)
}
