/** What a command line of dish is made of. `parse` makes it, `print` writes it, `evaluate` runs it. */

export type Part =
  /** Text that stands for itself, quoted or not. Two never stand beside each other in a word. */
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
  /** `` `{…} ``: what it prints, as words. */
  | { readonly kind: 'output'; readonly body: Sequence }
  /** `{…}` as an argument: itself, as text, for the commands that take commands (`on`, `all`, `watch`). */
  | { readonly kind: 'block'; readonly body: Sequence }

/** Parts side by side: one word, or a list. */
export type Word = readonly Part[]

export interface Redirect {
  /**
   * `>`, `>>`, `<`, `<>` a file; `<<`: `to` is the text itself, of which only variables are expanded; or `=`: the descriptor `fd`
   * becomes another's copy (`>[2=1]`).
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
  /** `!…`: for the host's shell, as it stands. */
  | { readonly kind: 'host'; readonly text: string }
  | { readonly kind: 'block'; readonly body: Sequence; readonly redirects: readonly Redirect[] }
  /** `fn name {…}`; without a body it is forgotten. */
  | { readonly kind: 'function'; readonly name: string; readonly body: Sequence | undefined }
  /** `for(name in words) body`; without words over `$*`. */
  | { readonly kind: 'for'; readonly name: string; readonly words: readonly Word[] | undefined; readonly body: Node }
  | { readonly kind: 'if'; readonly test: Sequence; readonly body: Node; readonly otherwise: Node | undefined }
  | { readonly kind: 'while'; readonly test: Sequence; readonly body: Node }
  /** `switch(words) { case patterns; … }`: the commands behind the first `case` that matches one of the words. */
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
  /** `&` behind it. */
  readonly background: boolean
}

export type Sequence = readonly Step[]

/** Words that begin something other than a command where a command may stand. */
export const keywords: ReadonlySet<string> = new Set(['for', 'if', 'while', 'fn', 'not', 'switch', 'case', '~'])

/** A command line that cannot be meant. */
export class DishSyntaxError extends SyntaxError {
  constructor(
    message: string,
    readonly text: string,
    /** Where in the text, counted in UTF-16 units. */
    readonly at: number,
    /** Whether more text could complete it: an open quote, brace or pipe. */
    readonly incomplete: boolean,
  ) {
    super(message)
    this.name = 'DishSyntaxError'
  }

  /** Which line that is, from 1, the line itself, and a caret below the place. */
  get shown(): { line: number; text: string; caret: string } {
    const before = this.text.slice(0, this.at).split('\n')
    const text = this.text.split('\n')[before.length - 1] ?? ''
    const column = before.at(-1)!.length
    return { line: before.length, text, caret: `${text.slice(0, column).replace(/[^\t]/g, ' ')}^` }
  }
}
