/** A search backwards through the history of entries, as it is typed (Ctrl-R). */

import { type Frame, layout } from './layout.js'
import { sanitize } from './sanitize.js'

export class Search {
  #query = ''
  /** The index of the entry that is shown; 0 is the oldest. */
  #at: number
  #failed = false

  constructor(readonly entries: readonly string[]) {
    this.#at = entries.length
  }

  /** The entry that was found; undefined if nothing was searched for. */
  get found(): string | undefined {
    return this.#query === '' ? undefined : this.entries[this.#at]
  }

  /** Handles a key. @returns false if the key ends the search */
  key(name: string, text: string | undefined): boolean {
    if (name === 'C-r') this.#find(this.#at - 1)
    else if (name === 'backspace') {
      this.#query = this.#query.slice(0, -1)
      this.#find(this.entries.length - 1)
    } else if (name === '' && text !== undefined) {
      this.#query += sanitize(text)
      this.#find(Math.min(this.#at, this.entries.length - 1))
    } else return false
    return true
  }

  #find(from: number): void {
    let at = from
    while (at >= 0 && !this.entries[at]!.includes(this.#query)) at--
    this.#failed = at < 0
    if (at >= 0) this.#at = at
  }

  /** The rows that show it. */
  frame(columns: number): Frame {
    const found = this.found ?? ''
    const head = `${this.#failed ? '(not found) ' : ''}search “${this.#query}”: `
    return layout(head, '… ', found, Math.max(0, found.indexOf(this.#query)), columns)
  }
}
