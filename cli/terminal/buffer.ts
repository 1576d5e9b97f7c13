/** The text of an entry while it is edited, with cursor, kill and undo. */
import { after, before } from './width.js'

interface State {
  readonly text: string
  readonly cursor: number
}

/** The most steps that undo goes back. */
const UNDOS = 500
/** The most characters that all steps together keep, because an entry may be a pasted file. */
const LETTERS = 4 * 1024 * 1024
const word = /[\p{L}\p{N}_\p{M}]/u

/**
 * An entry of one or more lines that is being edited: its text, the cursor, the killed text and the states for undo.
 */
export class Buffer {
  text = ''
  cursor = 0
  #killed = ''
  #undo: State[] = []
  /**
   * The kind of the last change. Letters typed in a row are undone together, and pieces killed in a row are yanked
   * together.
   */
  #last: 'type' | 'kill' | undefined

  /**
   * Replaces the whole text and puts the cursor at its end. Undo restores the text before, unless the entry is `fresh`.
   */
  set(text: string, fresh = false): void {
    if (fresh) this.#undo = []
    else this.#save()
    this.text = text
    this.cursor = text.length
  }

  insert(text: string, typed = false): void {
    this.replace(this.cursor, this.cursor, text, typed && /\S/.test(text) ? 'type' : undefined)
  }

  /** Replaces the text from `from` to `to` and puts the cursor behind the new text. */
  replace(from: number, to: number, text: string, kind?: 'type'): void {
    this.#save(kind)
    this.text = this.text.slice(0, from) + text + this.text.slice(to)
    this.cursor = from + text.length
  }

  /** @returns whether the cursor moved */
  move(to: number): boolean {
    this.#last = undefined
    const at = Math.max(0, Math.min(this.text.length, to))
    if (at === this.cursor) return false
    this.cursor = at
    return true
  }

  /** Cuts the text between `to` and the cursor and keeps it for `yank`. */
  kill(to: number): void {
    const [from, end] = to < this.cursor ? [to, this.cursor] : [this.cursor, to]
    if (from === end) return
    const piece = this.text.slice(from, end)
    const more = this.#last === 'kill'
    this.#killed = !more ? piece : to < this.cursor ? piece + this.#killed : this.#killed + piece
    this.replace(from, end, '')
    this.#last = 'kill'
  }

  yank(): void {
    if (this.#killed) this.insert(this.#killed)
  }

  undo(): boolean {
    const state = this.#undo.pop()
    if (!state) return false
    this.text = state.text
    this.cursor = state.cursor
    this.#last = undefined
    return true
  }

  get left(): number {
    return before(this.text, this.cursor)
  }

  get right(): number {
    return after(this.text, this.cursor)
  }

  /** The beginning of the word that the cursor is in or behind. */
  get wordLeft(): number {
    let at = this.cursor
    while (at > 0 && !word.test(this.text[at - 1]!)) at--
    while (at > 0 && word.test(this.text[at - 1]!)) at--
    return at
  }

  get wordRight(): number {
    let at = this.cursor
    while (at < this.text.length && !word.test(this.text[at]!)) at++
    while (at < this.text.length && word.test(this.text[at]!)) at++
    return at
  }

  /** Where the shell's Ctrl-W cuts from: the position after the previous white space. */
  get blankLeft(): number {
    let at = this.cursor
    while (at > 0 && /\s/.test(this.text[at - 1]!)) at--
    while (at > 0 && !/\s/.test(this.text[at - 1]!)) at--
    return at
  }

  get lineStart(): number {
    return this.text.lastIndexOf('\n', this.cursor - 1) + 1
  }

  get lineEnd(): number {
    const at = this.text.indexOf('\n', this.cursor)
    return at === -1 ? this.text.length : at
  }

  /**
   * Moves the cursor a line up (-1) or down (1), to the same column where the line is long enough.
   * @returns whether there is such a line
   */
  line(by: -1 | 1): boolean {
    const column = this.cursor - this.lineStart
    const edge = by < 0 ? this.lineStart - 1 : this.lineEnd + 1
    if (edge < 0 || edge > this.text.length) return false
    this.cursor = edge
    const start = this.lineStart
    this.move(Math.min(start + column, this.lineEnd))
    return true
  }

  /** Swaps the characters before and after the cursor; at the end of a line the last two. */
  transpose(): void {
    if (this.cursor === this.lineStart || this.text.length < 2) return
    const at = this.cursor === this.lineEnd ? this.left : this.cursor
    const from = before(this.text, at)
    const to = after(this.text, at)
    if (from < this.lineStart || from === at) return
    this.replace(from, to, this.text.slice(at, to) + this.text.slice(from, at))
  }

  #save(kind?: 'type'): void {
    if (kind === undefined || this.#last !== kind) {
      this.#undo.push({ text: this.text, cursor: this.cursor })
      if (this.#undo.length > Math.min(UNDOS, 1 + LETTERS / (this.text.length + 1))) this.#undo.shift()
    }
    this.#last = kind
  }
}
