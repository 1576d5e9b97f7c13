/** Turns inline Markdown into styled text, and wraps styled text into rows of a terminal. */
import type { Token, Tokens } from 'marked'
import { cells, width } from '../cli/terminal/width.js'

/** A function that colours a stretch of text. */
export type Style = (text: string) => string

/** A stretch of text in one style. */
export interface Run {
  readonly text: string
  readonly style?: Style
  /** The offset of the text in the source, if the source has it character by character. */
  readonly at?: number
}

/**
 * A row of a terminal. `next` is the offset in the source at which the next row begins, if the source can be cut there.
 */
export interface WrappedRow {
  readonly text: string
  readonly next?: number
}

/** The styles of Markdown. */
export interface Styles {
  readonly bold: Style
  readonly italic: Style
  readonly dim: Style
  readonly cyan: Style
  readonly underline: Style
  readonly strikethrough: Style
}

const plain: Style = text => text

/** Converts inline Markdown to runs. `at` is its offset in the source; runs within marks (`**…**`) get no offset. */
export function runs(tokens: readonly Token[], c: Styles, at?: number, style: Style = plain): Run[] {
  let offset = at
  return tokens.flatMap(token => {
    const from = offset
    if (offset !== undefined) offset += token.raw.length
    return run(token, c, from, style)
  })
}

function run(token: Token, c: Styles, at: number | undefined, style: Style): Run[] {
  const inside = (own: Style) => runs((token as Tokens.Strong).tokens, c, undefined, text => style(own(text)))
  switch (token.type) {
    case 'strong':
      return inside(c.bold)
    case 'em':
      return inside(c.italic)
    case 'del':
      return inside(c.strikethrough)
    case 'codespan':
      return [{ text: token.text, style: text => style(c.cyan(text)) }]
    case 'br':
      return [{ text: '\n' }]
    case 'link': {
      const { href, text } = token as Tokens.Link
      const shown = inside(c.underline)
      return href === text || href === `mailto:${text}` ? shown : [...shown, { text: ` (${href})`, style: c.dim }]
    }
    case 'image': {
      const { href, text } = token as Tokens.Image
      return [{ text: `[${text || 'image'}] (${href})`, style: c.dim }]
    }
    case 'text':
      if ((token as Tokens.Text).tokens) return runs((token as Tokens.Text).tokens!, c, at, style)
      return [{ text: token.raw, style, ...(at !== undefined && { at }) }]
    case 'escape':
      return [{ text: (token as Tokens.Escape).text, style }]
    default:
      return [{ text: token.raw, style }]
  }
}

/** Matches text with a mark whose meaning may depend on the text after it. */
const open = /[*`~[\]<\\|]|(?<!\w)_|_(?!\w)|https?:\/\/\S*$/

/** Whether no text that may follow can change how these runs look. */
export const settled = (list: readonly Run[]): boolean =>
  list.every(({ text, at }) => at === undefined || !open.test(text))

interface Piece {
  readonly text: string
  readonly style: Style
  readonly at: number | undefined
}

/**
 * Wraps runs at spaces into rows of at most `columns` columns. A word that is longer than a row is cut.
 * @param first the indent of the first row
 * @param rest the indent of the other rows
 */
export function wrap(list: readonly Run[], columns: number, first = '', rest = first): WrappedRow[] {
  const rows: WrappedRow[] = []
  let line = first
  let used = width(first)
  let begun = false
  let blank: Piece | undefined
  const room = () => Math.max(1, columns)
  const end = (next?: number) => {
    rows.push({ text: line, ...(next !== undefined && { next }) })
    line = rest
    used = width(rest)
    begun = false
    blank = undefined
  }
  const put = ({ text, style }: Piece, wide: number) => {
    line += style(text)
    used += wide
    begun = true
  }
  for (const word of words(list)) {
    if (word === 'newline') {
      end()
      continue
    }
    if (!Array.isArray(word)) {
      if (begun || rows.length === 0 || word.text.length > 1) blank = word
      continue
    }
    const wide = word.reduce((sum, { text }) => sum + width(text), 0)
    const gap: number = blank ? width(blank.text) : 0
    if (begun && used + gap + wide > room()) end(word[0]!.at)
    else if (blank) put(blank, gap)
    blank = undefined
    if (used + wide <= room()) {
      for (const piece of word) put(piece, width(piece.text))
      continue
    }
    // a word that is longer than a row is cut at the end of each row
    for (const piece of word) {
      let part = ''
      let partWide = 0
      for (const cell of cells(piece.text)) {
        const cellWide = width(cell)
        if (used + partWide + cellWide > room() && (begun || part !== '')) {
          put({ ...piece, text: part }, partWide)
          end()
          part = ''
          partWide = 0
        }
        part += cell
        partWide += cellWide
      }
      put({ ...piece, text: part }, partWide)
    }
  }
  if (begun || rows.length === 0) rows.push({ text: line })
  return rows
}

/** Splits runs into words, each a list of pieces by style, and the spaces and newlines between them. */
function* words(list: readonly Run[]): Generator<Piece[] | Piece | 'newline'> {
  let word: Piece[] = []
  for (const { text, style = plain, at } of list) {
    for (const { 0: part, index } of text.matchAll(/\n|[^\S\n]+|\S+/g)) {
      const piece = { text: part, style, at: at === undefined ? undefined : at + index }
      if (/^\S/.test(part)) {
        word.push(piece)
        continue
      }
      if (word.length > 0) yield word
      word = []
      yield part === '\n' ? 'newline' : { ...piece, text: part.replaceAll('\t', '    ') }
    }
  }
  if (word.length > 0) yield word
}
