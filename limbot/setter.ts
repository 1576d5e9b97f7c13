import { sanitize } from '../ctl/common/terminal/sanitize.js'
import { width } from '../ctl/common/terminal/width.js'
import { wrap } from './inline.js'

/** What makes rows of a terminal from text that comes bit by bit. */
export interface Setter {
  /** @returns rows that are finished, each with its newline */
  push(text: string): string
  /** @returns all that is left */
  end(): string
  /** What has come of the last line and is not given out. */
  readonly rest: string
}

/** Text as it is, but harmless, and broken at blanks. */
export class Plain implements Setter {
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
