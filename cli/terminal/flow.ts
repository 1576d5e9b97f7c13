/** Wraps the text of an answer at words while it streams to a terminal. */
import { sanitize } from './sanitize.js'
import { width } from './width.js'

/**
 * Wraps streaming text at spaces where a line would be wider than the terminal. A word is held back until the character
 * after it arrives; nothing else is held back.
 */
export class Flow {
  readonly #decoder = new TextDecoder()
  #used = 0
  #blank = ''
  #word = ''

  constructor(readonly columns: () => number) {}

  /** Adds data. @returns the text that can be printed now */
  push(data: Uint8Array): string {
    let out = ''
    for (const piece of sanitize(this.#decoder.decode(data, { stream: true })).match(/\n|[^\S\n]+|\S+/g) ?? []) {
      if (/^\S/.test(piece)) {
        this.#word += piece
        continue
      }
      out += this.#put()
      if (piece !== '\n') this.#blank += piece
      else {
        out += `${this.#blank}\n`
        this.#blank = ''
        this.#used = 0
      }
    }
    return out
  }

  /** Ends the text. @returns the rest that was held back */
  end(): string {
    return this.#put() + this.#blank
  }

  #put(): string {
    const [blank, word] = [this.#blank, this.#word]
    if (word === '') return ''
    this.#blank = this.#word = ''
    const wide = width(word)
    const fits = this.#used === 0 || this.#used + width(blank) + wide <= this.columns()
    this.#used = fits ? this.#used + width(blank) + wide : wide
    return fits ? blank + word : `\n${word}`
  }
}

/** Whether a path names a file whose text is an answer, and so prose. The lines of other files must not be wrapped. */
export const isProse = (path: readonly string[]): boolean => path.at(-1) === 'data'
