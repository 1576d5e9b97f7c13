/** The syntax tree of a dish command line: `parse` makes it, `print` writes it as text, `evaluate` runs it. */

export type Part =
  /** Literal text, quoted or not. A word never holds two adjacent texts. */
  | { readonly kind: 'text'; readonly text: string }
  /** `*`, `?` or `[…]`. */
  | { readonly kind: 'glob'; readonly text: string }
  /** `$name`, `$name(index)`, `$#name`, `$"name`. */
  | {
      readonly kind: 'variable'
      readonly name: string
      readonly form: 'list' | 'count' | 'joined'
      readonly index?: readonly Word[]
    }
  /** `(a b)` */
  | { readonly kind: 'list'; readonly words: readonly Word[] }
  /** `` `{…} ``: the output of the commands, split into words. */
  | { readonly kind: 'output'; readonly body: Sequence }
  /** `{…}` as an argument: its own text, for the commands that take commands (`on`, `all`, `watch`). */
  | { readonly kind: 'block'; readonly body: Sequence }

/** Parts written side by side. A word expands to one string or to a list of strings. */
export type Word = readonly Part[]

export interface Redirect {
  /**
   * `>`, `>>`, `<` or `<>`: `to` is the file. `<<`: `to` is the text itself, in which only variables are expanded. `=`:
   * the descriptor `fd` becomes a copy of descriptor `to` (`>[2=1]`).
   */
  readonly kind: '>' | '>>' | '<' | '<>' | '<<' | '='
  readonly fd: number
  readonly to: Word | number
}

export interface Assignment {
  readonly name: string
  readonly value: Word | undefined
}

export type Node =
  | {
      readonly kind: 'simple'
      readonly assignments: readonly Assignment[]
      readonly words: readonly Word[]
      readonly redirects: readonly Redirect[]
    }
  /** `!…`: a command line for the host's shell, unchanged. */
  | { readonly kind: 'host'; readonly text: string }
  | { readonly kind: 'block'; readonly body: Sequence; readonly redirects: readonly Redirect[] }
  /** `fn name {…}`. Without a body the function is deleted. */
  | { readonly kind: 'function'; readonly name: string; readonly body: Sequence | undefined }
  /** `for(name in words) body`. Without words it loops over `$*`. */
  | { readonly kind: 'for'; readonly name: string; readonly words: readonly Word[] | undefined; readonly body: Node }
  | { readonly kind: 'if'; readonly test: Sequence; readonly body: Node; readonly otherwise: Node | undefined }
  | { readonly kind: 'while'; readonly test: Sequence; readonly body: Node }
  /** `switch(words) { case patterns; … }`: runs the commands after the first `case` that matches one of the words. */
  | {
      readonly kind: 'switch'
      readonly words: readonly Word[]
      readonly cases: readonly { readonly patterns: readonly Word[]; readonly body: Sequence }[]
      readonly redirects: readonly Redirect[]
    }
  | { readonly kind: 'match'; readonly subject: Word; readonly patterns: readonly Word[] }
  | { readonly kind: 'not'; readonly body: Node }
  | { readonly kind: 'and' | 'or'; readonly left: Node; readonly right: Node }
  | { readonly kind: 'pipe'; readonly commands: readonly Node[] }

export interface Step {
  readonly node: Node
  /** Whether `&` follows the command. */
  readonly background: boolean
}

export type Sequence = readonly Step[]

/** Words that begin a construct rather than a command, where a command may stand. */
export const keywords: ReadonlySet<string> = new Set(['for', 'if', 'while', 'fn', 'not', 'switch', 'case', '~'])

/** A syntax error in a command line. */
export class DishSyntaxError extends SyntaxError {
  constructor(
    message: string,
    readonly text: string,
    /** Position in the text, in UTF-16 units. */
    readonly at: number,
    /** Whether more text could complete the command: a quote, brace or pipe is still open. */
    readonly incomplete: boolean,
  ) {
    super(message)
    this.name = 'DishSyntaxError'
  }

  /** The number of the line with the error (from 1), the line itself, and a caret that points at the column. */
  get shown(): { line: number; text: string; caret: string } {
    const before = this.text.slice(0, this.at).split('\n')
    const text = this.text.split('\n')[before.length - 1] ?? ''
    const column = before.at(-1)!.length
    return { line: before.length, text, caret: `${text.slice(0, column).replace(/[^\t]/g, ' ')}^` }
  }
}
