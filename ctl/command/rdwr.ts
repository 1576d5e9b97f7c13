/** `llamboctl rdwr`: writes to a file and prints what the same open file then gives. */
import { ORDWR } from '../../fs/protocol.js'
import type { Run } from '../common/command.js'
import { exitCode, Failure } from '../common/exit.js'
import { show, withFile } from '../common/files.js'
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
 * Keeps the last whole line of a `generate` stream. Where an exchange fails, its stream ends in an `error` event, and
 * the reads themselves succeed.
 */
class Ending {
  #rest = ''
  #last = ''
  readonly #decoder = new TextDecoder()

  take(data: Uint8Array): void {
    const lines = (this.#rest + this.#decoder.decode(data, { stream: true })).split('\n')
    this.#rest = lines.pop()!
    this.#last = lines.at(-1) ?? this.#last
  }

  /** The error that the exchange failed with; undefined where it did not fail. */
  get error(): string | undefined {
    try {
      const { event, error } = JSON.parse(this.#last) as { event?: unknown; error?: unknown }
      return event === 'error' ? String(error) : undefined
    } catch {
      return undefined
    }
  }
}
