/** `llamboctl status`: prints what the server is doing. */
import { parseRecords } from '../../fs/quote.js'
import type { Run } from '../common/command.js'
import { readText } from '../common/files.js'
import { summary } from '../common/summary.js'
import { sanitize } from '../common/terminal/sanitize.js'

export const run: Run = async (io, _args, { json }) => {
  const { root, client } = await io.connect()
  const text = await readText(root, ['status'], io.signal)
  client.close()
  if (json) {
    const records = parseRecords(text).map(({ word, attrs }) => ({ record: word, ...attrs }))
    return io.print(`${JSON.stringify(records, null, 2)}\n`)
  }
  // a terminal gets a summary, a program the file as it is
  await io.print(io.stdout.isTTY ? sanitize(summary(text)) : text)
}
