/** The commands of llamboctl that write a line to the cluster's `ctl`: `load`, `spawn`, `drain` and the like. */

import type { Options, Run } from '../../cli/command.js'
import { exitCode, Failure, usage } from '../../cli/exit.js'
import { readText, withFile } from '../../cli/files.js'
import { QUOTE_SPACES } from '../../cli/phrases.js'
import { quote, words } from '../../fs/base/quote.js'
import { OWRITE } from '../../fs/wire/protocol.js'
import { withProgress } from './loading.js'

/**
 * The remedy for a `load` or `unload` whose second word is not a worker: the shell has split a model's name at a space.
 */
const cutName = (word: string, args: readonly string[]): string =>
  `${word} ${args.join(' ')}: ${QUOTE_SPACES}: llamboctl ${word} '${args.join(' ')}'`

/** The words of the line to write. `spawn --count N --type CLASS` becomes `spawn CLASS N`. @throws Failure (usage) */
export function lineOf(word: string, args: readonly string[], { count, type }: Options): string[] {
  if (word !== 'spawn' || (count === undefined && type === undefined)) return [word, ...args]
  if (args.length > 0) throw usage('spawn: expected CLASS and N, or --type and --count, not both')
  return [word, type ?? 'default', count ?? '1']
}

/**
 * Makes the command that writes one line to the cluster's `ctl`: the word and its arguments. Without arguments the
 * command prints the lines of `ctl` that begin with the word, which is how it is set now. The server checks the
 * arguments and reports what is wrong with them.
 */
export const control =
  (word: string): Run =>
  async (io, args, options) => {
    const loads = /^(un)?load$/.test(word) && args.length > 1
    if (loads && args.slice(1).some(arg => arg.endsWith('.gguf'))) throw usage(cutName(word, args))
    const given = lineOf(word, args, options)
    const { root, client } = await io.connect()
    if (given.length > 1) {
      const line = Buffer.from(`${given.map(quote).join(' ')}\n`)
      const write = withFile(root, ['ctl'], OWRITE, io.signal, fid => fid.write(0, line, io.signal))
      await (word === 'load' ? withProgress(io, root, write) : write).catch(error => {
        if (!loads || !error.message.includes(': no worker "')) throw error
        throw new Failure(exitCode.failed, `${error.message}; ${cutName(word, args)}`, { cause: error })
      })
    } else {
      const set = words(await readText(root, ['ctl'], io.signal)).filter(([first]) => first === word)
      await io.print(set.map(line => `${line.map(quote).join(' ')}\n`).join(''))
    }
    client.close()
  }
