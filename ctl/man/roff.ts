/** Converts Markdown to the text of a manual page, with the macros of man(7). */
import { lexer, type Token, type Tokens } from 'marked'

/** Escapes text for roff, so that nothing in it is taken for a request or an escape sequence. */
export function literal(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replace(/[-'`^~]/g, c => ({ '-': '\\-', "'": '\\(aq', '`': '\\(ga', '^': '\\(ha', '~': '\\(ti' })[c]!)
    .replace(/^\./gm, '\\&.')
}

/** Escapes prose, in which a line may break at a hyphen. */
const prose = (text: string) => literal(text).replaceAll('\\-', '-')

const entities: Readonly<Record<string, string>> = {
  '&amp;': '&',
  '&lt;': '<',
  '&gt;': '>',
  '&quot;': '"',
  '&#39;': "'",
}
const plain = (text: string) => text.replace(/&(?:amp|lt|gt|quot|#39);/g, c => entities[c]!)

/** What a link to one of our documents becomes in a manual page, by the document's name. */
export type Links = Readonly<Record<string, string>>

/** Converts inline tokens. */
function inline(tokens: readonly Token[], links: Links): string {
  return tokens
    .map(token => {
      if (token.type === 'codespan') return `\\fB${literal(plain(token.text))}\\fP`
      if (token.type === 'strong') return `\\fB${inline(token.tokens ?? [], links)}\\fP`
      if (token.type === 'em') return `\\fI${inline(token.tokens ?? [], links)}\\fP`
      if (token.type === 'br') return ' '
      if (token.type === 'link') {
        const [file = ''] = token.href.split('#')
        const page = links[file.replace(/^.*\//, '')]
        const text = inline(token.tokens ?? [], links)
        if (page && /\.md$/.test(token.text)) return `\\fB${literal(page)}\\fP`
        if (page) return `${text} (\\fB${literal(page)}\\fP)`
        return /^https?:/.test(token.href) && token.text !== token.href ? `${text} (${literal(token.href)})` : text
      }
      if ('tokens' in token && token.tokens) return inline(token.tokens, links)
      return prose(plain('text' in token ? token.text : token.raw))
    })
    .join('')
    .replace(/\s*\n\s*/g, ' ')
}

/** Lines that must not be filled: a block of code. */
const block = (text: string) => `.PP\n.RS 4\n.nf\n${literal(text)}\n.fi\n.RE\n`

/** A tagged paragraph: the tag and its description. */
export const entry = (tag: string, text: string) => `.TP\n${tag || '\\&'}\n${text || '\\&'}\n`

/**
 * Converts a table to tagged paragraphs: the first column is the tag, and the others are the description, with their
 * headings.
 */
function table({ header, rows }: Tokens.Table, links: Links): string {
  const cell = (c: Tokens.TableCell | undefined) => inline(c?.tokens ?? [], links)
  return rows
    .map(([first, ...rest]) => {
      const said = rest.flatMap((c, i) => {
        const text = cell(c)
        const title = rest.length > 1 ? header[i + 1]?.text : ''
        return text ? (title ? `${prose(title)}: ${text}` : text) : []
      })
      return entry(cell(first), said.join('; '))
    })
    .join('')
}

function list({ items, ordered }: Tokens.List, links: Links): string {
  return items
    .map((item, i) => {
      const [first, ...rest] = item.tokens
      const text = first && 'tokens' in first ? inline(first.tokens ?? [], links) : ''
      const more = rest.length ? `.RS 4\n${body(rest, links, () => '')}.RE\n` : ''
      return `.IP ${ordered ? `${i + 1}.` : '\\(bu'} 4\n${text}\n${more}`
    })
    .join('')
}

/** Converts blocks. @param heading what a heading of a depth becomes */
function body(tokens: readonly Token[], links: Links, heading: (depth: number, text: string) => string): string {
  return tokens
    .map(token => {
      switch (token.type) {
        case 'heading':
          return heading(token.depth, inline(token.tokens ?? [], links))
        case 'paragraph':
          return /^!\[/.test(token.raw) ? '' : `.PP\n${inline(token.tokens ?? [], links)}\n`
        case 'text':
          return `${inline(('tokens' in token && token.tokens) || [token], links)}\n`
        case 'code':
          return block(token.text)
        case 'list':
          return list(token as Tokens.List, links)
        case 'table':
          return table(token as Tokens.Table, links)
        default:
          return ''
      }
    })
    .join('')
}

/**
 * Converts Markdown.
 * @param heading what a heading of a depth becomes: the whole line, or nothing
 */
export const roff = (markdown: string, links: Links, heading: (depth: number, text: string) => string): string =>
  body(lexer(markdown), links, heading)
    // a heading begins a paragraph by itself
    .replace(/^(\.S[HS] .*\n)\.PP\n/gm, '$1')
