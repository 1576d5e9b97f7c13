/** Lays out blocks of Markdown as rows of a terminal. */
import type { Token, Tokens } from 'marked'
import { clip, width } from '../cli/terminal/width.js'
import { runs, type Style, type Styles, wrap } from './inline.js'

/** Lays out one block as rows of at most `columns` columns; code stays as wide as it is. */
export function block(token: Token, columns: number, c: Styles): string[] {
  switch (token.type) {
    case 'paragraph':
    case 'text':
      return rows(token.tokens ?? [token], columns, c)
    case 'heading': {
      const { depth, tokens } = token as Tokens.Heading
      const style: Style = depth === 1 ? text => c.bold(c.underline(text)) : c.bold
      return wrap(runs(tokens, c, undefined, style), columns).map(({ text }) => text)
    }
    case 'code':
      return code(token as Tokens.Code, c)
    case 'list':
      return list(token as Tokens.List, columns, c)
    case 'blockquote':
      return blocks((token as Tokens.Blockquote).tokens, columns - 2, c).map(row => `${c.dim('│')} ${row}`)
    case 'table':
      return table(token as Tokens.Table, columns, c)
    case 'hr':
      return [c.dim('─'.repeat(Math.min(columns, 40)))]
    case 'space':
    case 'def':
      return []
    default:
      return token.raw.replace(/\n+$/, '').split('\n')
  }
}

/** Lays out several blocks, with a blank row between them where the source has one. */
export function blocks(tokens: readonly Token[], columns: number, c: Styles): string[] {
  const out: string[] = []
  for (const token of tokens) {
    if (token.type === 'space') out.push('')
    else out.push(...block(token, columns, c), ...(endsBlank(token) ? [''] : []))
  }
  while (out.at(-1) === '') out.pop()
  return out
}

/** Whether a token's source includes the blank line after it. */
export const endsBlank = (token: Token): boolean => /\n[ \t]*\n$/.test(token.raw)

const rows = (tokens: readonly Token[], columns: number, c: Styles): string[] =>
  wrap(runs(tokens, c), columns).map(({ text }) => text)

/** Code is not changed, so that it can be copied; its fences are kept as well. */
function code({ raw, text, lang, codeBlockStyle }: Tokens.Code, c: Styles): string[] {
  const lines = text.split('\n').map(line => c.cyan(line))
  if (codeBlockStyle === 'indented') return lines.map(line => `    ${line}`)
  const fence = /^ {0,3}(`{3,}|~{3,})/.exec(raw)?.[1] ?? '```'
  return [c.dim(`${fence}${lang ?? ''}`), ...lines, c.dim(fence)]
}

function list({ items, ordered, start, loose }: Tokens.List, columns: number, c: Styles): string[] {
  return items.flatMap((item, i) => {
    const mark = ordered ? `${Number(start) + i}.` : '•'
    const head = item.task ? `${mark} ${item.checked ? '[x]' : '[ ]'} ` : `${mark} `
    const indent = ' '.repeat(width(head))
    const tokens = item.tokens.filter(token => token.type !== 'checkbox').map(withoutBox)
    const inner = blocks(tokens, Math.max(8, columns - indent.length), c)
    const shown = (inner.length ? inner : ['']).map((row, j) =>
      row === '' && j > 0 ? '' : `${j ? indent : head}${row}`,
    )
    return loose && i < items.length - 1 ? [...shown, ''] : shown
  })
}

/** Removes the checkbox of a task, which marked also puts into the item's first paragraph. */
function withoutBox(token: Token): Token {
  const { tokens } = token as Tokens.Paragraph
  return tokens?.[0]?.type === 'checkbox' ? { ...token, tokens: tokens.slice(1) } : token
}

/** Makes each column as wide as its content, or narrower if the table would not fit. */
function table({ header, rows: body, align }: Tokens.Table, columns: number, c: Styles): string[] {
  const all = [header, ...body]
  const cell = (tokens: readonly Token[], wide: number, style?: Style) =>
    wrap(runs(tokens, c, undefined, style), wide).map(({ text }) => text)
  const wants = header.map((_, i) =>
    Math.max(1, ...all.map(row => Math.max(...cell(row[i]?.tokens ?? [], 1e9).map(width)))),
  )
  const room = Math.max(header.length * 3, columns - 3 * (header.length - 1))
  const widths = fitted(wants, room)
  const pad = (text: string, i: number) => {
    const left = widths[i]! - width(text)
    if (left < 0) return clip(text, widths[i]!)
    if (align[i] === 'right') return ' '.repeat(left) + text
    if (align[i] === 'center') return ' '.repeat(left >> 1) + text + ' '.repeat(left - (left >> 1))
    return text + ' '.repeat(left)
  }
  const lines = (row: Tokens.TableCell[], style?: Style): string[] => {
    const cells = header.map((_, i) => cell(row[i]?.tokens ?? [], widths[i]!, style))
    const high = Math.max(...cells.map(({ length }) => length))
    return Array.from({ length: high }, (_, j) =>
      cells
        .map((texts, i) => pad(texts[j] ?? '', i))
        .join(c.dim(' │ '))
        .trimEnd(),
    )
  }
  const rule = c.dim(widths.map(wide => '─'.repeat(wide)).join('─┼─'))
  return [...lines(header, c.bold), rule, ...body.flatMap(row => lines(row))]
}

/** Column widths that fit into `room`: the widest column shrinks first, and none below 3. */
function fitted(wants: readonly number[], room: number): number[] {
  const widths = [...wants]
  for (let over = widths.reduce((a, b) => a + b, 0) - room; over > 0; over--) {
    const widest = widths.indexOf(Math.max(...widths))
    if (widths[widest]! <= 3) break
    widths[widest]!--
  }
  return widths
}
