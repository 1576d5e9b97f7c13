/** Reads plain lines where there is no terminal to edit on. */
import { createInterface, type Interface } from 'node:readline'

/** Reads lines from an input that is not a terminal, or from a terminal without escape sequences. */
export class Lines {
  #interface: Interface | undefined
  #waiting: { resolve(line: string | undefined): void } | undefined
  readonly #lines: string[] = []
  #ended = false

  constructor(readonly input: NodeJS.ReadStream) {}

  /** The next line; undefined at the end of the input or when the signal aborts. */
  next(signal?: AbortSignal): Promise<string | undefined> {
    this.#interface ??= createInterface({ input: this.input, terminal: false, crlfDelay: Number.POSITIVE_INFINITY })
      .on('line', line => this.#came(line))
      .on('close', () => {
        this.#ended = true
        this.#came(undefined)
      })
    if (this.#lines.length > 0) return Promise.resolve(this.#lines.shift())
    if (this.#ended || signal?.aborted) return Promise.resolve(undefined)
    return new Promise(resolve => {
      const give = (line: string | undefined) => {
        signal?.removeEventListener('abort', abort)
        this.#waiting = undefined
        resolve(line)
      }
      const abort = () => give(undefined)
      signal?.addEventListener('abort', abort, { once: true })
      this.#waiting = { resolve: give }
    })
  }

  close(): void {
    this.#interface?.close()
  }

  #came(line: string | undefined): void {
    if (this.#waiting) this.#waiting.resolve(line)
    else if (line !== undefined) this.#lines.push(line)
  }
}
