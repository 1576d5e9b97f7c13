/** A cursor over a command line, for the parser. */

import { DishSyntaxError } from './ast.js'

/** How deep braces, lists and commands may be nested: far more than anyone needs, and within the stack. */
const DEEPEST = 100

/** A position in a text that is being parsed. */
export class Cursor {
  at = 0
  #depth = 0
  readonly #awaited: { readonly tag: string; readonly from: number; readonly take: (text: string) => void }[] = []
  /** For the start of a line: the position after the here documents that begin there. */
  readonly #past = new Map<number, number>()

  constructor(readonly text: string) {}

  get char(): string {
    return this.text[this.at] ?? ''
  }

  get done(): boolean {
    return this.at >= this.text.length
  }

  /** Takes `what` if it comes next. @returns whether it did */
  take(what: string): boolean {
    if (!this.text.startsWith(what, this.at)) return false
    this.at += what.length
    return true
  }

  /** Takes what a sticky expression matches here. @returns the match, if any */
  match(expression: RegExp): string | undefined {
    expression.lastIndex = this.at
    const found = expression.exec(this.text)?.[0]
    if (found !== undefined) this.at += found.length
    return found
  }

  /** Whether a sticky expression matches here. Takes nothing. */
  sees(expression: RegExp): boolean {
    expression.lastIndex = this.at
    return expression.test(this.text)
  }

  /** @throws DishSyntaxError that points at `at`, by default the current position */
  fail(message: string, at = this.at, incomplete = this.done): never {
    throw new DishSyntaxError(message, this.text, at, incomplete)
  }

  /** Skips spaces, escaped newlines and comments; with `newlines`, newlines too. */
  blanks(newlines = false): void {
    for (;;) {
      if (this.match(/(?:[^\S\n]|\\\r?\n)+/y) || this.match(/#[^\n]*/y)) continue
      if (!newlines || this.char !== '\n') return
      this.at++
      this.#texts()
    }
  }

  /** Announces a here document after the end of this line. @param take is called with its text, newlines included */
  awaitText(tag: string, take: (text: string) => void): void {
    this.#awaited.push({ tag, from: this.at, take })
  }

  /** @throws DishSyntaxError if an announced here document is missing */
  ended(): void {
    const [missing] = this.#awaited
    if (missing) this.fail(`missing line ${missing.tag} after the text of <<${missing.tag}`, missing.from, true)
  }

  /**
   * After a newline: reads the here documents that the line announced. If the parser backtracks and comes here again,
   * they are skipped.
   */
  #texts(): void {
    const begins = this.at
    for (let awaited = this.#awaited[0]; awaited; awaited = this.#awaited[0]) {
      const from = this.at
      let line: number
      let end: number
      do {
        line = this.at
        end = this.text.indexOf('\n', line)
        if (end < 0) end = this.text.length
        if (line >= this.text.length) this.ended()
        this.at = Math.min(end + 1, this.text.length)
      } while (this.text.slice(line, end) !== awaited.tag)
      this.#awaited.shift()
      awaited.take(this.text.slice(from, line))
      this.#past.set(begins, this.at)
    }
    this.at = this.#past.get(begins) ?? this.at
  }

  /** Parses something that may contain others of its kind. @throws DishSyntaxError if they are nested too deep */
  nested<T>(parse: () => T): T {
    if (++this.#depth > DEEPEST) this.fail(`more than ${DEEPEST} levels of braces and lists`, this.at, false)
    const value = parse()
    this.#depth--
    return value
  }
}
