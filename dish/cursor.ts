import { DishSyntaxError } from './ast.js'

/** How deep braces, lists and commands may stand in each other: beyond any use, and within the stack. */
const DEEPEST = 100

/** A place in a text that is being parsed. */
export class Cursor {
  at = 0
  #depth = 0
  readonly #awaited: { readonly tag: string; readonly from: number; readonly take: (text: string) => void }[] = []
  /** From the beginning of a line to what is behind the texts there. */
  readonly #past = new Map<number, number>()

  constructor(readonly text: string) {}

  get char(): string {
    return this.text[this.at] ?? ''
  }

  get done(): boolean {
    return this.at >= this.text.length
  }

  /** Whether that comes next; takes it if so. */
  take(what: string): boolean {
    if (!this.text.startsWith(what, this.at)) return false
    this.at += what.length
    return true
  }

  /** What the expression (sticky) finds here, taken. */
  match(expression: RegExp): string | undefined {
    expression.lastIndex = this.at
    const found = expression.exec(this.text)?.[0]
    if (found !== undefined) this.at += found.length
    return found
  }

  /** Whether the expression (sticky) finds something here, which is left. */
  sees(expression: RegExp): boolean {
    expression.lastIndex = this.at
    return expression.test(this.text)
  }

  /** @throws DishSyntaxError that points at `at`, here unless given */
  fail(message: string, at = this.at, incomplete = this.done): never {
    throw new DishSyntaxError(message, this.text, at, incomplete)
  }

  /** Blanks, escaped newlines and comments; newlines as well where they mean nothing. */
  blanks(newlines = false): void {
    for (;;) {
      if (this.match(/(?:[^\S\n]|\\\r?\n)+/y) || this.match(/#[^\n]*/y)) continue
      if (!newlines || this.char !== '\n') return
      this.at++
      this.#texts()
    }
  }

  /** Notes that a text is to come behind the end of this line. @param take gets it, with its newlines */
  awaitText(tag: string, take: (text: string) => void): void {
    this.#awaited.push({ tag, from: this.at, take })
  }

  /** @throws DishSyntaxError where a text that was announced has not come */
  ended(): void {
    const [missing] = this.#awaited
    if (missing) this.fail(`the text of <<${missing.tag} is not closed by a line ${missing.tag}`, missing.from, true)
  }

  /** Behind a newline: the texts that its line has announced. Who comes here a second time goes past them. */
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

  /** Parses something that may hold others of its kind. */
  nested<T>(parse: () => T): T {
    if (++this.#depth > DEEPEST) this.fail(`over ${DEEPEST} levels of braces and lists`, this.at, false)
    const value = parse()
    this.#depth--
    return value
  }
}
