/**
 * Holds back what an answer may yet lose: what could become a stop string, the newlines at its end, half a character. All
 * engines send their text through one of these.
 *
 * Text and ids go in by pieces (a token, mostly) and come out so that all ids given so far cover exactly all text given so
 * far: a piece with ids is never split, it is held whole. Only the last piece of an answer may reach past its text, where a
 * stop string or the final newlines begin inside a token.
 */

export interface Held {
  readonly text: string
  readonly ids: readonly number[]
}

const newline = /[\r\n]/
const newlines = /[\r\n]*$/
const halfPair = /[\ud800-\udbff]$/

export class Hold {
  readonly #stops: readonly string[]
  #text = ''
  /** The pieces of `#text`; one whose text is empty (a token that is part of a character) goes with the next that has some. */
  #pieces: { readonly length: number; readonly ids: readonly number[] }[] = []
  /** Of `#text`, how much was given out before (`given`). */
  #skip = 0
  #stopped = false

  /** @param stop strings that end the text and are no part of it; the first to be complete counts, of two the longer */
  constructor(stop: readonly string[]) {
    this.#stops = stop.filter(s => s !== '')
  }

  /** Whether a stop string came. Nothing is taken after that. */
  get stopped(): boolean {
    return this.#stopped
  }

  /** Adds a piece. @returns what became final by it */
  push(text: string, ids: readonly number[]): Held | undefined {
    if (this.#stopped) return undefined
    const before = this.#text.length
    this.#text += text
    this.#pieces.push({ length: text.length, ids })
    const stop = text === '' ? -1 : this.#findStop(before)
    if (stop >= 0) {
      this.#stopped = true
      this.#text = this.#text.slice(0, stop)
      return this.#last()
    }
    return text === '' ? undefined : this.#release(this.#undecided())
  }

  /** Adds a piece that was given out earlier, in an answer that is continued here. */
  given(text: string, ids: readonly number[]): void {
    this.push(text, ids)
    this.#pieces = this.#pieces.map(piece => ({ length: piece.length, ids: [] }))
    this.#skip = this.#text.replace(newlines, '').length
  }

  /** The text has ended. @returns what was held and belongs to it */
  end(): Held | undefined {
    return this.#stopped ? undefined : this.#last()
  }

  /** Where the stop string begins that is complete first, at or after `from`; else -1. */
  #findStop(from: number): number {
    let start = -1
    let end = Number.POSITIVE_INFINITY
    for (const stop of this.#stops) {
      const at = this.#text.indexOf(stop, Math.max(0, from - stop.length + 1))
      if (at < 0) continue
      const done = at + stop.length
      if (done < end || (done === end && at < start)) {
        start = at
        end = done
      }
    }
    return start
  }

  /** Where the part begins that what follows may change. */
  #undecided(): number {
    const text = this.#text
    let at = halfPair.test(text) ? text.length - 1 : text.length
    for (const stop of this.#stops) {
      for (let i = Math.max(0, text.length - stop.length + 1); i < at; i++) {
        if (stop.startsWith(text.slice(i))) at = i
      }
    }
    return text.slice(0, at).replace(newlines, '').length
  }

  /** Gives what lies before `end`, in whole pieces where they have ids. */
  #release(end: number): Held | undefined {
    let at = 0
    let pieces = 0
    let out = 0
    let whole = 0
    for (const piece of this.#pieces) {
      if (at + piece.length > end) break
      at += piece.length
      pieces++
      // Empty pieces after the last text wait for the text they belong to. And text never pauses at a newline: so ids that
      // end in one were the answer's last, and who continues them knows that their newlines were not given (`given`).
      if (piece.length > 0 && !newline.test(this.#text[at - 1]!)) {
        out = at
        whole = pieces
      }
    }
    const ids = this.#pieces.slice(0, whole).flatMap(piece => piece.ids)
    const rest = this.#pieces.slice(whole)
    const cut = rest[0]
    if (cut && cut.ids.length === 0 && end > out) {
      rest[0] = { length: cut.length - (end - out), ids: [] }
      out = end
    }
    this.#pieces = rest
    return this.#give(out, ids)
  }

  #last(): Held | undefined {
    const end = this.#text.replace(newlines, '').replace(halfPair, '').replace(newlines, '').length
    const ids: number[] = []
    let at = 0
    for (const piece of this.#pieces) {
      if (at >= end) break
      ids.push(...piece.ids)
      at += piece.length
    }
    this.#pieces = []
    return this.#give(end, ids)
  }

  #give(length: number, ids: readonly number[]): Held | undefined {
    const text = this.#text.slice(this.#skip, length)
    this.#skip = Math.max(0, this.#skip - length)
    this.#text = this.#text.slice(length)
    return text === '' && ids.length === 0 ? undefined : { text, ids }
  }
}
