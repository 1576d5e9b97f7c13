import { DishSyntaxError } from './ast.js'

/** How deep braces, lists and commands may stand in each other: beyond any use, and within the stack. */
const DEEPEST = 100

/** A place in a text that is being parsed. */
export class Cursor {
  at = 0
  #depth = 0

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
    const blank = newlines ? /(?:\s|\\\r?\n)+/y : /(?:[^\S\n]|\\\r?\n)+/y
    while (this.match(blank) || this.match(/#[^\n]*/y)) {}
  }

  /** Parses something that may hold others of its kind. */
  nested<T>(parse: () => T): T {
    if (++this.#depth > DEEPEST) this.fail(`over ${DEEPEST} levels of braces and lists`, this.at, false)
    const value = parse()
    this.#depth--
    return value
  }
}
