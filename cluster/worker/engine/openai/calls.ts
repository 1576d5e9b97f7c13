/** Assembles the tool calls of an answer from the parts of a stream. */
import { fail } from '../../../../api/errors.js'
import { MAX_ARGUMENTS, MAX_CALL_NAME, MAX_CALLS } from './limits.js'
import type { CallPart } from './reply.js'

interface Call {
  readonly id: string
  readonly index: number | undefined
  name: string
  arguments: string
}

/**
 * The tool calls of one answer, assembled from their parts. Servers differ in how a part says which call it belongs to:
 * by the id of the call, by an index (which may start at 1), or not at all, in which case it belongs to the last call.
 */
export class Calls {
  readonly #calls: Call[] = []
  #size = 0

  get none(): boolean {
    return this.#calls.length === 0
  }

  /** Adds parts. @throws FsError `the upstream failed` beyond the bounds */
  add(parts: readonly CallPart[]): void {
    for (const part of parts) {
      const { name = '', arguments: text = '' } = part.function ?? {}
      const call = this.#of(part, name)
      // some servers repeat the name in every part
      if (call.name !== name) call.name += name
      call.arguments += text
      this.#size += text.length
      if (call.name.length > MAX_CALL_NAME)
        throw fail('upstreamFailed', `a tool call has a name of over ${MAX_CALL_NAME} characters`)
      if (this.#size > MAX_ARGUMENTS)
        throw fail('upstreamFailed', `the arguments of the tool calls have over ${MAX_ARGUMENTS} characters`)
    }
  }

  #of({ id = '', index }: CallPart, name: string): Call {
    const known =
      (id && this.#calls.findLast(call => call.id === id)) ||
      (index !== undefined && this.#calls.findLast(call => call.index === index && (!id || !call.id)))
    if (known) return known
    const last = this.#calls.at(-1)
    // a part without id, index or name continues the previous call
    if (!id && index === undefined && !name && last) return last
    const call = { id, index, name: '', arguments: '' }
    this.#calls.push(call)
    if (this.#calls.length > MAX_CALLS) throw fail('upstreamFailed', `over ${MAX_CALLS} tool calls in one answer`)
    return call
  }

  /**
   * Parses the arguments of the calls.
   * @param cut whether the answer was ended by its length: an incomplete call is dropped then
   * @throws FsError `the upstream failed` for arguments that are not a JSON object
   */
  read(cut: boolean, from: string): { name: string; arguments: unknown }[] {
    return this.#calls.flatMap(({ name, arguments: text }) => {
      try {
        const json: unknown = JSON.parse(text.trim() || '{}')
        if (typeof json === 'object' && json !== null && name) return [{ name, arguments: json }]
      } catch {
        // reported below
      }
      if (cut) return []
      throw fail(
        'upstreamFailed',
        `${from}: the arguments of the tool call ${JSON.stringify(name)} are not a JSON object`,
      )
    })
  }
}
