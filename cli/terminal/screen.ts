/** Draws the lowest rows of a terminal in place. */
import { write } from '../output.js'
import type { Frame } from './layout.js'

const empty: Frame = { rows: [{ text: '', width: 0 }], row: 0, column: 0 }
const up = (rows: number) => (rows > 0 ? `\x1b[${rows}A` : '')
/**
 * Clears the rows below the current one. It does not clear from the current row itself: tmux treats a clear from the
 * top left corner as a clear of the whole screen and saves the rows.
 */
const BELOW = '\r\n\x1b[J\x1b[A'

/**
 * The lowest rows of a terminal, which are redrawn in place while finished lines scroll by above them. Each change is
 * one write, so that nothing flickers.
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

  /** Replaces the rows. Of more rows than the screen has, those around the cursor are shown. */
  draw(frame: Frame): void {
    const top = this.#top()
    const before = this.#sent
    const text = this.#text(frame)
    if (text !== before) this.output.write(top + text)
  }

  /** To be called when the size of the terminal has changed: the next `draw` draws everything. */
  resized(): void {
    this.#sent = ''
  }

  /** Writes finished lines above the rows that `draw` shows. Waits while the terminal is slower. */
  above(lines: string, frame: Frame): Promise<void> {
    const top = this.#wiped()
    this.#forget()
    return write(this.output, `${top}${lines}${lines.endsWith('\n') ? '' : '\n'}${this.#text(frame)}`)
  }

  /** Draws the rows a last time, leaves them on the screen and moves the cursor below them. */
  leave(frame: Frame): void {
    this.output.write(`${this.#wiped()}${frame.rows.map(row => row.text).join('\r\n')}\r\n`)
    this.#forget()
  }

  /** Removes the rows and moves the cursor to where they began. */
  erase(): void {
    this.output.write(this.#wiped())
    this.#forget()
  }

  /** Clears the whole screen. */
  clear(): void {
    this.output.write('\x1b[H\x1b[2J')
    this.#forget()
  }

  /** Forgets the rows that are drawn: the next drawing begins at the cursor. */
  #forget(): void {
    this.#drawn = empty
    this.#sent = ''
    this.#columns = this.columns
  }

  /** Moves the cursor to the first of our rows. */
  #top(): string {
    const { row, column } = this.#drawn
    return `${up(this.#folded(row) + (this.#narrower ? Math.floor(column / this.columns) : 0))}\r`
  }

  /** Moves the cursor to the first of our rows and clears them. */
  #wiped(): string {
    const below = this.#folded(this.#drawn.rows.length) > 1 ? BELOW : ''
    return `${this.#top()}\x1b[K${below}\r`
  }

  get #narrower(): boolean {
    return this.columns < this.#columns
  }

  /**
   * How many rows the first `rows` of ours take now. A screen that has become narrower has folded the rows that are too
   * wide for it.
   */
  #folded(rows: number): number {
    if (!this.#narrower) return rows
    const widths = this.#drawn.rows.slice(0, rows).map(({ width }) => width)
    return widths.reduce((sum, width) => sum + Math.max(1, Math.ceil(width / this.columns)), 0)
  }

  /** The text that draws a frame. The frame counts as drawn from now on. */
  #text(frame: Frame): string {
    const before = this.#folded(this.#drawn.rows.length)
    const most = this.height - 1
    const from = Math.max(0, Math.min(frame.row - (most >> 1), frame.rows.length - most))
    const rows = frame.rows.slice(from, from + most)
    const row = frame.row - from
    this.#drawn = { rows, row, column: frame.column }
    this.#columns = this.columns
    // each row is cleared before it is written: a clear after a full row would remove its last character
    const text = rows.map(row => `\x1b[K${row.text}`).join('\r\n')
    const column = frame.column > 0 ? `\x1b[${frame.column}C` : ''
    this.#sent = `${text}${before > rows.length ? BELOW : ''}${up(rows.length - 1 - row)}\r${column}`
    return this.#sent
  }
}
