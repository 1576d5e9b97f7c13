import { parseRecords } from '../../fs/quote.js'
import type { Run } from '../common/command.js'
import { readText } from '../common/files.js'

export const run: Run = async (io, _args, { json }) => {
  const { root, client } = await io.connect()
  const text = await readText(root, ['status'], io.signal)
  client.close()
  if (json) {
    const records = parseRecords(text).map(({ word, attrs }) => ({ record: word, ...attrs }))
    return io.print(`${JSON.stringify(records, null, 2)}\n`)
  }
  if (!io.stdout.isTTY) return io.print(text)
  const { bold, dim } = io.colors(io.stdout)
  for (const { word, attrs } of parseRecords(text)) {
    const { name = '', ...rest } = attrs
    const pairs = Object.entries(rest).map(([attr, value]) => `${dim(`${attr}=`)}${value}`)
    await io.print(`${bold(`${word} ${name}`)}\n  ${pairs.join('  ')}\n`)
  }
}
