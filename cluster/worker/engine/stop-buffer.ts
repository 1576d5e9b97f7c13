/**
 * Holds back text that an answer may yet lose: what could become a stop string, the newlines at its end, half a
 * character. All engines send their text through a `Hold`.
 *
 * Text and ids go in as pieces (mostly one token each). They come out so that all ids given so far match exactly all
 * text given so far: a piece with ids is never split, but held back as a whole. Only the last piece of an answer may
 * extend beyond its text, if a stop string or the final newlines begin inside a token.
 */

/** A piece of text that is final, with the ids it came from. */
export interface Held {
  readonly text: string
  readonly ids: readonly number[]
}

const newline = /[\r\n]/
const newlines = /[\r\n]*$/
const halfPair = /[\ud800-\udbff]$/

/** Holds back the text of one answer. */
export class StopBuffer {
  readonly #stops: readonly string[]
  #text = ''
  /**
   * The pieces of `#text`. A piece without text (a token that is part of a character) goes with the next piece that has
   * some.
   */
  #pieces: { readonly length: number; readonly ids: readonly number[] }[] = []
  /** How many characters of `#text` were given out before, by another engine (`given`). */
  #skip = 0
  #stopped = false

  /**
   * @param stop strings that end the text and are not part of it. The first to be complete counts; of two at once, the
   *   longer
   */
  constructor(stop: readonly string[]) {
    this.#stops = stop.filter(s => s !== '')
  }

  /** Whether a stop string was found. Later pieces are ignored. */
  get stopped(): boolean {
    return this.#stopped
  }

  /** Adds a piece. @returns the text that is final now */
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

  /** Ends the text. @returns the held text that belongs to the answer */
  end(): Held | undefined {
    return this.#stopped ? undefined : this.#last()
  }

  /** Finds the stop string that is complete first, at or after `from`. @returns where it begins, or -1 */
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

  /** Returns where the part begins that later text may change. */
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

  /** Gives the text before `end`, in whole pieces if they have ids. */
  #release(end: number): Held | undefined {
    let at = 0
    let pieces = 0
    let out = 0
    let whole = 0
    for (const piece of this.#pieces) {
      if (at + piece.length > end) break
      at += piece.length
      pieces++
      // Empty pieces after the last text wait for the text they belong to. Text is never given up to a newline: so if
      // the ids so far end with one, the answer was complete, and an engine that continues it knows that those newlines
      // were not given (`given`).
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
