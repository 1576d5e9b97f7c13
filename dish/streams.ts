/** The process's own standard streams. */

import type { Writable } from 'node:stream'
import { write } from '../cli/output.js'
import { sanitize } from '../cli/terminal/sanitize.js'
import { BrokenPipe, nothing, type Sink, type Source } from './pipe.js'

/** Which of the process's output streams: standard output or standard error. */
export type Own = 1 | 2

/** One of the process's own output streams. On a terminal, everything is sanitized except what `styled` writes. */
export class Styled implements Sink {
  readonly #decoder = new TextDecoder()
  readonly #terminal: boolean

  constructor(
    readonly stream: NodeJS.WriteStream,
    readonly own: Own,
  ) {
    this.#terminal = stream.isTTY === true
  }

  get columns(): number | undefined {
    return this.#terminal ? (this.stream.columns ?? 80) : undefined
  }

  write(data: Uint8Array, signal: AbortSignal): Promise<void> {
    return this.#put(this.#terminal ? sanitize(this.#decoder.decode(data, { stream: true })) : data, signal)
  }

  /** Writes text that contains our own escape sequences. */
  styled(text: string, signal: AbortSignal): Promise<void> {
    return this.#put(text, signal)
  }

  async #put(data: string | Uint8Array, signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw signal.reason
    if (this.stream.destroyed) throw new BrokenPipe()
    await write(this.stream as Writable, data)
  }
}

/** The process's own standard input. */
export class Stdin implements Source {
  #chunks: AsyncIterator<Buffer> | undefined
  #next: Promise<IteratorResult<Buffer>> | undefined

  constructor(readonly stream: NodeJS.ReadStream) {}

  /** False after the first read: a host command would miss the data in our buffer. */
  get inherited(): boolean {
    return this.#chunks === undefined
  }

  async read(signal: AbortSignal): Promise<Uint8Array> {
    if (signal.aborted) throw signal.reason
    this.#chunks ??= this.stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>
    // data that comes after a reader gave up goes to the next reader
    this.#next ??= this.#chunks.next()
    const next = this.#next
    const { done, value } = await new Promise<IteratorResult<Buffer>>((resolve, reject) => {
      const abort = () => reject(signal.reason)
      signal.addEventListener('abort', abort, { once: true })
      next.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
    })
    this.#next = undefined
    return done ? nothing : value
  }

  close(): void {}
}
