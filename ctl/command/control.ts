import { OWRITE } from '../../fs/protocol.js'
import { quote, words } from '../../fs/quote.js'
import type { Run } from '../common/command.js'
import { readText, withFile } from '../common/files.js'

/**
 * Writes one line to the cluster's `ctl`: the word, and what was given behind it; without anything behind it prints the lines of
 * `ctl` that say how it is set. What the line does wrong the server knows, and says.
 */
export const control =
  (word: string): Run =>
  async (io, args) => {
    const { root, client } = await io.connect()
    if (args.length > 0) {
      const line = Buffer.from(`${[word, ...args].map(quote).join(' ')}\n`)
      await withFile(root, ['ctl'], OWRITE, io.signal, fid => fid.write(0, line, io.signal))
    } else {
      const set = words(await readText(root, ['ctl'], io.signal)).filter(([first]) => first === word)
      await io.print(set.map(line => `${line.map(quote).join(' ')}\n`).join(''))
    }
    client.close()
  }
