/** Lays out Markdown for a terminal while it arrives, piece by piece. */
import { Lexer, lexer, type Token, type Tokens } from 'marked'
import { sanitize } from '../cli/terminal/sanitize.js'
import { width } from '../cli/terminal/width.js'
import { block, endsBlank } from './blocks.js'
import { runs, type Styles, settled, wrap } from './inline.js'
import type { Renderer } from './renderer.js'

/** Characters of a block beyond which its text so far is shown, even if it is not finished. */
const MOST = 8 * 1024
/**
 * Characters of a block beyond which it is not parsed again with each new line, but only when it has grown by an eighth
 * or seems to end.
 */
const LARGE = 512
const fence = /^ {0,3}(`{3,}|~{3,})[^`\n]*$/

/**
 * Lays out Markdown while it arrives. Each row is returned once, when it is final: a line of code at its end, an item
 * of a list when the next begins, a row of a paragraph as soon as no later text can change it, a table when it ends.
 */
export class Markdown implements Renderer {
  #source = ''
  /** The fence of the code block in progress. */
  #fence: string | undefined
  /** The beginning of the current paragraph line was already returned, so its rest does not begin a block. */
  #midst = false
  /** Whether the last returned row was empty, or none was returned yet. */
  #blank = true
  /** Characters of the partial line that were already examined. */
  #looked = 0
  /** Characters of the unfinished block when it was last parsed. */
  #read = 0

  constructor(
    readonly columns: () => number,
    readonly styles: Styles,
  ) {}

  /**
   * Takes the next piece of text, which may be cut anywhere.
   * @returns the rows that are final now, each with its newline
   */
  push(text: string): string {
    this.#source += sanitize(text)
    const out: string[] = []
    if (text.includes('\n')) this.#lines(out)
    this.#partial(out)
    return this.#given(out)
  }

  /** Ends the text. @returns all remaining rows */
  end(): string {
    if (this.#source !== '' && !this.#source.endsWith('\n')) this.#source += '\n'
    const out: string[] = []
    this.#lines(out)
    if (this.#source !== '') this.#all(lexer(this.#source), out)
    this.#source = ''
    return this.#given(out)
  }

  /** The last line as far as it has arrived and was not returned yet. */
  get rest(): string {
    return this.#source.slice(this.#source.lastIndexOf('\n', this.#source.length - 2) + 1).trimEnd()
  }

  #given(rows: readonly string[]): string {
    let out = ''
    for (const row of rows) {
      if (row === '' && this.#blank) continue
      this.#blank = row === ''
      out += `${row}\n`
    }
    return out
  }

  /** Adds the rows of complete lines that are final. */
  #lines(out: string[]): void {
    for (;;) {
      const nl = this.#source.indexOf('\n')
      if (nl === -1) return
      const line = this.#source.slice(0, nl)
      if (this.#fence !== undefined) {
        const closes = line.trim().startsWith(this.#fence) && line.trim().replaceAll(this.#fence[0]!, '') === ''
        out.push(closes ? this.styles.dim(line) : this.styles.cyan(line))
        if (closes) this.#fence = undefined
        this.#drop(nl + 1)
      } else if (this.#midst) {
        this.#midst = false
        out.push(...wrap(runs(Lexer.lexInline(line), this.styles), this.columns()).map(({ text }) => text))
        this.#drop(nl + 1)
      } else if (fence.test(line)) {
        this.#fence = fence.exec(line)![1]!
        out.push(this.styles.dim(line))
        this.#drop(nl + 1)
      } else if (!this.#blocks(out)) return
    }
  }

  #drop(n: number): void {
    if (n === 0) return
    this.#source = this.#source.slice(n)
    this.#looked = 0
    this.#read = 0
  }

  /**
   * Parses the complete lines and adds the rows that are final.
   * @returns whether the caller must look at the source again
   */
  #blocks(out: string[]): boolean {
    const complete = this.#source.slice(0, this.#source.lastIndexOf('\n') + 1)
    if (complete.length > LARGE && complete.length < this.#read * 1.125 && !complete.endsWith('\n\n')) return false
    this.#read = complete.length
    const tokens = lexer(complete)
    const last = tokens.pop()
    if (!last) return false
    // a fence begins among these blocks: those before it go first
    const code = tokens.findIndex(token => token.type === 'code' && fence.test(token.raw.split('\n')[0]!))
    if (code > 0) {
      this.#all(tokens.slice(0, code), out)
      this.#drop(tokens.slice(0, code).reduce((n, { raw }) => n + raw.length, 0))
      return true
    }
    const before = complete.length - last.raw.length
    this.#all(tokens, out)
    const done = last.raw.length > MOST ? this.#whole(last, out) : this.#last(last, out)
    this.#drop(before + done)
    // an open fence is the last token; it is the first line now and is handled there
    return done === 0 && before > 0 && fence.test(last.raw.split('\n')[0]!)
  }

  #all(tokens: readonly Token[], out: string[]): void {
    tokens.forEach((token, i) => {
      if (token.type === 'space') {
        if (i === 0 || token.raw.split('\n').length > 2) out.push('')
      } else out.push(...block(token, this.columns(), this.styles), ...(endsBlank(token) ? [''] : []))
    })
  }

  #whole(token: Token, out: string[]): number {
    this.#all([token], out)
    return token.raw.length
  }

  /** Adds the rows of the last block that are final. @returns how many characters of its source these were */
  #last(token: Token, out: string[]): number {
    switch (token.type) {
      case 'space':
        out.push('')
        return token.raw.length
      case 'heading':
      case 'hr':
        return this.#whole(token, out)
      case 'list': {
        const { items } = token as Tokens.List
        const done = items.slice(0, -1)
        if (done.length === 0) return 0
        const raw = done.map(item => item.raw).join('')
        out.push(...block({ ...(token as Tokens.List), items: done, raw }, this.columns(), this.styles))
        if (/\n[ \t]*\n$/.test(raw)) out.push('')
        return raw.length
      }
      case 'paragraph':
      case 'text':
        return this.#paragraph(token as Tokens.Paragraph, out)
      default:
        return 0
    }
  }

  #paragraph(token: Tokens.Paragraph, out: string[]): number {
    const list = runs(token.tokens ?? [token], this.styles, 0)
    if (!settled(list)) return 0
    out.push(...wrap(list, this.columns()).map(({ text }) => text))
    return token.raw.length
  }

  /** Adds the rows of a line that has no end yet, except the last row. */
  #partial(out: string[]): void {
    const columns = this.columns()
    if (this.#fence !== undefined || this.#source.includes('\n')) return
    if (this.#source.length - this.#looked < columns >> 2 || width(this.#source) <= columns) return
    this.#looked = this.#source.length
    const tokens = this.#midst ? Lexer.lexInline(this.#source) : lexer(this.#source)
    const inline = this.#midst
      ? tokens
      : tokens.length === 1 && tokens[0]!.type === 'paragraph'
        ? (tokens[0] as Tokens.Paragraph).tokens
        : undefined
    if (!inline) return
    const list = runs(inline, this.styles, 0)
    if (!settled(list) && this.#source.length < MOST) return
    const rows = wrap(list, columns)
    const cut = rows.slice(0, -1).findLastIndex(({ next }) => next !== undefined)
    if (cut === -1) return
    out.push(...rows.slice(0, cut + 1).map(({ text }) => text))
    this.#midst = true
    this.#drop(rows[cut]!.next!)
  }
}
