/** `llamboctl status`: prints what the server is doing. */

import { rows } from '../../api/record-file.js'
import type { Run } from '../../cli/command.js'
import { readText } from '../../cli/files.js'
import { summary } from '../../cli/summary.js'
import { sanitize } from '../../cli/terminal/sanitize.js'

export const run: Run = async (io, _args, { json }) => {
  const { root, client } = await io.connect()
  const text = await readText(root, ['status'], io.signal)
  client.close()
  if (json) return io.print(`${JSON.stringify(rows(text, 'status'), null, 2)}\n`)
  // a terminal gets a summary, a program the file as it is
  await io.print(io.stdout.isTTY ? sanitize(summary(text)) : text)
}
