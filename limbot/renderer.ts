/** The interface for laying out an answer on a terminal, and the layout of plain text. */
import { sanitize } from '../cli/terminal/sanitize.js'
import { width } from '../cli/terminal/width.js'
import { wrap } from './inline.js'

/** Makes rows of a terminal from text that arrives in pieces. */
export interface Renderer {
  /** Takes the next piece. @returns the rows that are final now, each with its newline */
  push(text: string): string
  /** Ends the text. @returns all remaining rows */
  end(): string
  /** The last line as far as it has arrived and was not returned yet. */
  readonly rest: string
}

/** Lays out text without Markdown: control characters are made harmless, and lines are wrapped at spaces. */
export class Plain implements Renderer {
  #line = ''

  constructor(readonly columns: () => number) {}

  push(text: string): string {
    const lines = (this.#line + sanitize(text)).split('\n')
    this.#line = lines.pop()!
    let out = lines.map(line => this.#rows(line)).join('')
    if (width(this.#line) > this.columns()) {
      const rows = wrap([{ text: this.#line, at: 0 }], this.columns())
      const cut = rows.slice(0, -1).findLastIndex(({ next }) => next !== undefined)
      if (cut !== -1) {
        out += rows
          .slice(0, cut + 1)
          .map(row => `${row.text}\n`)
          .join('')
        this.#line = this.#line.slice(rows[cut]!.next!)
      }
    }
    return out
  }

  end(): string {
    const line = this.#line
    this.#line = ''
    return line === '' ? '' : this.#rows(line)
  }

  get rest(): string {
    return this.#line
  }

  #rows(line: string): string {
    return wrap([{ text: line }], this.columns())
      .map(({ text }) => `${text}\n`)
      .join('')
  }
}
