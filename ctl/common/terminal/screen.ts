import { write } from '../output.js'
import type { Frame } from './layout.js'

const empty: Frame = { rows: [{ text: '', width: 0 }], row: 0, column: 0 }
const up = (rows: number) => (rows > 0 ? `\x1b[${rows}A` : '')
/** Clears what is below a row. Not from the row itself: tmux takes a clearing from the top left for one of the screen, and keeps it. */
const BELOW = '\r\n\x1b[J\x1b[A'

/**
 * The lowest rows of a terminal, redrawn in place, while finished lines go by above them. Each change is one write, so that
 * nothing flickers.
 */
export class Screen {
  #drawn: Frame = empty
  #sent = ''
  #columns: number

  constructor(readonly output: NodeJS.WriteStream) {
    this.#columns = this.columns
  }

  get columns(): number {
    return Math.max(4, this.output.columns || 80)
  }

  get height(): number {
    return Math.max(2, this.output.rows || 24)
  }

  /** Shows other rows; of more than the screen has, those around the cursor. */
  draw(frame: Frame): void {
    const top = this.#top()
    const before = this.#sent
    const text = this.#text(frame)
    if (text !== before) this.output.write(top + text)
  }

  /** The terminal has another size: all is drawn again. */
  resized(): void {
    this.#sent = ''
  }

  /** Finished lines, above the rows that `draw` shows. Waits where the terminal is slower. */
  above(lines: string, frame: Frame): Promise<void> {
    const top = this.#wiped()
    this.#forget()
    return write(this.output, `${top}${lines}${lines.endsWith('\n') ? '' : '\n'}${this.#text(frame)}`)
  }

  /** The rows stay as they now are, and the cursor goes below them. */
  leave(frame: Frame): void {
    this.output.write(`${this.#wiped()}${frame.rows.map(row => row.text).join('\r\n')}\r\n`)
    this.#forget()
  }

  /** The rows are gone, and the cursor is where they began. */
  erase(): void {
    this.output.write(this.#wiped())
    this.#forget()
  }

  /** Clears the whole screen. */
  clear(): void {
    this.output.write('\x1b[H\x1b[2J')
    this.#forget()
  }

  /** Something else has written: what is drawn next begins where the cursor is. */
  #forget(): void {
    this.#drawn = empty
    this.#sent = ''
    this.#columns = this.columns
  }

  /** To the first of our rows. */
  #top(): string {
    const { row, column } = this.#drawn
    return `${up(this.#folded(row) + (this.#narrower ? Math.floor(column / this.columns) : 0))}\r`
  }

  /** The same, and ours are gone. */
  #wiped(): string {
    const below = this.#folded(this.#drawn.rows.length) > 1 ? BELOW : ''
    return `${this.#top()}\x1b[K${below}\r`
  }

  get #narrower(): boolean {
    return this.columns < this.#columns
  }

  /** How many rows the first of ours are by now: a screen that has become narrower has folded those that were too wide for it. */
  #folded(rows: number): number {
    if (!this.#narrower) return rows
    const widths = this.#drawn.rows.slice(0, rows).map(({ width }) => width)
    return widths.reduce((sum, width) => sum + Math.max(1, Math.ceil(width / this.columns)), 0)
  }

  /** A frame as it is sent; it is what is drawn from now on. */
  #text(frame: Frame): string {
    const before = this.#folded(this.#drawn.rows.length)
    const most = this.height - 1
    const from = Math.max(0, Math.min(frame.row - (most >> 1), frame.rows.length - most))
    const rows = frame.rows.slice(from, from + most)
    const row = frame.row - from
    this.#drawn = { rows, row, column: frame.column }
    this.#columns = this.columns
    // each cleared before it is written: behind a full row its last letter would go
    const text = rows.map(row => `\x1b[K${row.text}`).join('\r\n')
    const column = frame.column > 0 ? `\x1b[${frame.column}C` : ''
    this.#sent = `${text}${before > rows.length ? BELOW : ''}${up(rows.length - 1 - row)}\r${column}`
    return this.#sent
  }
}
