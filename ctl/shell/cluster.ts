/** The sentinel's connection to the cluster. */

import { AnswerReader } from '../../api/answer.js'
import { received } from '../../api/errors.js'
import { type RequestBody, requestText } from '../../api/request.js'
import { status } from '../../api/status.js'
import type { Connection } from '../../cli/connect.js'
import { drain, readText, withFile } from '../../cli/files.js'
import type { Invocation } from '../../cli/invocation.js'
import { ORDWR } from '../../fs/wire/protocol.js'
import { MAX_ANSWER } from './limits.js'

/** Models that come with llambo for trying it out: what they say about a command is noise. */
const toys = /^(?:echo|llambo-tiny)$/

/**
 * The cluster that hints come from. It is dialled when there is something to ask, and the connection is kept while it
 * lasts.
 */
export class Cluster {
  readonly #io: Invocation
  #connection: Connection | undefined

  constructor(io: Invocation) {
    this.#io = io
  }

  async #root(): Promise<Connection['root']> {
    if (!this.#connection) {
      const connection = await this.#io.connect()
      this.#connection = connection
      void connection.client.closed.then(() => {
        if (this.#connection === connection) this.#connection = undefined
      })
    }
    return this.#connection.root
  }

  /**
   * Asks the cluster and returns the whole text of the answer; '' if no useful model is loaded. An abort cancels the
   * answer.
   * @throws whatever connecting and the cluster throw
   */
  async ask(request: RequestBody, signal: AbortSignal): Promise<string> {
    const root = await this.#root()
    signal.throwIfAborted()
    if (!('model' in request)) {
      const { model } = status.read(await readText(root, ['status'], signal))
      if (!model.some(({ loaded, name }) => loaded && !toys.test(name))) return ''
    }
    const reader = new AnswerReader('server')
    let text = ''
    const take = async (data: Uint8Array) => {
      for (const event of reader.take(data)) {
        // an answer that breaks off is not an answer
        if (event.event === 'error') throw received(event.error)
        if (event.event === 'token' && text.length <= MAX_ANSWER) text += event.text
      }
    }
    await withFile(root, ['generate'], ORDWR, signal, async fid => {
      await fid.write(0, Buffer.from(requestText(request)), signal)
      await drain(fid, take, signal)
    })
    return text.length > MAX_ANSWER ? '' : text
  }

  close(): void {
    this.#connection?.client.close()
  }
}
