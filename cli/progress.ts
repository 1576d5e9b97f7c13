/** A progress line on a terminal. */
import type { WriteStream } from 'node:tty'
import { bytes } from './output.js'

/** Shows the progress of a transfer on one line of a terminal. Prints nothing where `stream` is not a terminal. */
export class Progress {
  #last = 0
  readonly #started = performance.now()
  readonly #stream: WriteStream | undefined

  constructor(
    stream: NodeJS.WriteStream,
    readonly label: string,
  ) {
    this.#stream = stream.isTTY ? stream : undefined
  }

  /**
   * Draws the line, ten times a second at most.
   * @param done bytes so far
   * @param total bytes in all, where that is known
   */
  at(done: number, total?: number): void {
    const now = performance.now()
    if (!this.#stream || now - this.#last < 100) return
    this.#last = now
    const rate = `${bytes(done / Math.max(0.1, (now - this.#started) / 1000))}/s`
    const share = total ? Math.min(1, done / total) : 0
    const bar = total ? ` [${'='.repeat(Math.floor(share * 24)).padEnd(24)}] ${Math.floor(share * 100)} %` : ''
    this.#stream.write(`\r\x1b[K${this.label}${bar} ${bytes(done)}${total ? ` of ${bytes(total)}` : ''} ${rate}`)
  }

  end(): void {
    if (this.#last) this.#stream?.write('\r\x1b[K')
  }
}
