/** Draws a full-screen display on a terminal. */

import type { ReadStream, WriteStream } from 'node:tty'

const ESC = '\x1b['
/** Switches to the alternate screen, without cursor and line wrapping; and back. */
const ENTER = `${ESC}?1049h${ESC}?25l${ESC}?7l${ESC}2J`
const LEAVE = `${ESC}0m${ESC}?7h${ESC}?25h${ESC}?1049l`

/**
 * A full-screen display on a terminal. Only rows that have changed are written. However the process ends, except by
 * SIGKILL, the terminal is restored.
 */
export class Screen {
  readonly #output: WriteStream
  readonly #input: ReadStream
  #rows: string[] = []
  #on = false
  readonly #leave = () => this.leave()

  constructor(output: WriteStream, input: ReadStream) {
    this.#output = output
    this.#input = input
  }

  get columns(): number {
    return this.#output.columns || 80
  }

  get rows(): number {
    return this.#output.rows || 24
  }

  enter(): void {
    if (this.#on) return
    this.#on = true
    // a crash is reported on the ordinary screen
    process.on('exit', this.#leave).on('uncaughtExceptionMonitor', this.#leave)
    this.#input.setRawMode?.(true)
    this.#input.resume()
    this.#rows = []
    this.#output.write(ENTER)
  }

  leave(): void {
    if (!this.#on) return
    this.#on = false
    process.off('exit', this.#leave).off('uncaughtExceptionMonitor', this.#leave)
    this.#output.write(LEAVE)
    this.#input.setRawMode?.(false)
    this.#input.pause()
  }

  /** Forgets what is on the screen: the next draw writes every row. */
  forget(): void {
    this.#rows = []
    if (this.#on) this.#output.write(`${ESC}2J`)
  }

  /** Shows these rows, as many as fit. */
  draw(lines: readonly string[]): void {
    if (!this.#on) return
    let out = ''
    for (let row = 0; row < this.rows; row++) {
      const line = lines[row] ?? ''
      if (this.#rows[row] === line) continue
      this.#rows[row] = line
      out += `${ESC}${row + 1};1H${line}${ESC}0m${ESC}K`
    }
    if (out) this.#output.write(out)
  }
}
