import { sanitize } from './sanitize.js'
import { width } from './width.js'

/**
 * Text on its way to a terminal, broken at blanks where a line would be longer than the terminal is wide. A word is given out when
 * what comes behind it has begun; nothing else is held back.
 */
export class Flow {
  readonly #decoder = new TextDecoder()
  #used = 0
  #blank = ''
  #word = ''

  constructor(readonly columns: () => number) {}

  /** @returns what can be printed by now */
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

  /** @returns all that is left */
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

/** Whether a path names a file whose text is prose: answers. The lines of all others are what they are. */
export const isProse = (path: readonly string[]): boolean => path.at(-1) === 'data'
