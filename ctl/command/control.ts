import { OWRITE } from '../../fs/protocol.js'
import { quote, words } from '../../fs/quote.js'
import type { Options, Run } from '../common/command.js'
import { usage } from '../common/exit.js'
import { readText, withFile } from '../common/files.js'
import { withProgress } from './loading.js'

/** What was meant by words that the shell has cut where a name has a blank. */
function whole(word: string, args: readonly string[]): void {
  if (!/^(un)?load$/.test(word) || !args.slice(1).some(arg => /\.gguf$/.test(arg))) return
  throw usage(
    `${word} ${args.join(' ')}: a name with a blank in it needs quotes: llamboctl ${word} '${args.join(' ')}'`,
  )
}

/** The words of a line: `spawn --count N --type CLASS` is `spawn CLASS N`. */
export function lineOf(word: string, args: readonly string[], { count, type }: Options): string[] {
  if (word !== 'spawn' || (count === undefined && type === undefined)) return [word, ...args]
  if (args.length > 0) throw usage('spawn takes --count and --type, or CLASS and N, not both')
  return [word, type ?? 'default', count ?? '1']
}

/**
 * Writes one line to the cluster's `ctl`: the word, and what was given behind it; without anything behind it prints the lines of
 * `ctl` that say how it is set. What the line does wrong the server knows, and says.
 */
export const control =
  (word: string): Run =>
  async (io, args, options) => {
    whole(word, args)
    const given = lineOf(word, args, options)
    const { root, client } = await io.connect()
    if (given.length > 1) {
      const line = Buffer.from(`${given.map(quote).join(' ')}\n`)
      const write = withFile(root, ['ctl'], OWRITE, io.signal, fid => fid.write(0, line, io.signal))
      await (word === 'load' ? withProgress(io, root, write) : write)
    } else {
      const set = words(await readText(root, ['ctl'], io.signal)).filter(([first]) => first === word)
      await io.print(set.map(line => `${line.map(quote).join(' ')}\n`).join(''))
    }
    client.close()
  }
