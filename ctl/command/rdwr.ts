/** `llamboctl rdwr`: writes to a file and prints what the same open file then gives. */
import { AnswerReader } from '../../api/answer.js'
import type { Run } from '../../cli/command.js'
import { exitCode, Failure } from '../../cli/exit.js'
import { show, withFile } from '../../cli/files.js'
import { ORDWR } from '../../fs/wire/protocol.js'
import { writeInput } from './input.js'

export const run: Run = async (io, [path = '', ...words]) => {
  const { root, client } = await io.connect()
  const names = io.names(path)
  const events = names.at(-1) === 'generate' ? new Ending() : undefined
  await withFile(root, names, ORDWR, io.signal, async fid => {
    await writeInput(io, fid, words)
    await show(io, names, fid, data => events?.take(data))
  })
  client.close()
  const error = events?.error
  if (error !== undefined) throw new Failure(exitCode.failed, error)
}

/**
 * Reads the events of a `generate` stream beside the printing. Where an exchange fails, its stream ends in an `error`
 * event, and the reads themselves succeed.
 */
class Ending {
  #reader: AnswerReader | undefined = new AnswerReader('server')
  /** The error that the exchange failed with; undefined where it did not fail. */
  error: string | undefined

  take(data: Uint8Array): void {
    try {
      for (const event of this.#reader?.take(data) ?? []) this.error = event.event === 'error' ? event.error : undefined
    } catch {
      // what a foreign server gives there need not be events: it is printed all the same
      this.#reader = undefined
    }
  }
}
