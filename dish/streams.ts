import type { Writable } from 'node:stream'
import { write } from '../ctl/common/output.js'
import { sanitize } from '../ctl/common/terminal/sanitize.js'
import { BrokenPipe, nothing, type Sink, type Source } from './pipe.js'

/** Which of the process's streams. */
export type Own = 1 | 2

/** One of the process's own output streams. On a terminal all that is not ours is made harmless. */
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

  /** Text that has escape sequences of ours. */
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

  /** Not once we have read of it: what is in our buffer a command of the host would miss. */
  get inherited(): boolean {
    return this.#chunks === undefined
  }

  async read(signal: AbortSignal): Promise<Uint8Array> {
    if (signal.aborted) throw signal.reason
    this.#chunks ??= this.stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>
    // what comes after a reader gave up is the next one's
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
