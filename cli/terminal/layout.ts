/** Lays an entry out in the rows of a screen. */
import { sanitize } from './sanitize.js'
import { cells, clip, width } from './width.js'

/** One row of a screen, with its width in columns. */
export interface Row {
  readonly text: string
  readonly width: number
}

/** Rows, and the position of the cursor in them. */
export interface Frame {
  readonly rows: readonly Row[]
  readonly row: number
  readonly column: number
}

const TAB = 4
const ascii = /^[\x20-\x7e]*$/

/** A row of text, cut to the width of the screen. */
export function row(text: string, columns: number): Row {
  const cut = clip(text.replaceAll('\t', ' '.repeat(TAB)), columns)
  return { text: cut, width: width(cut) }
}

/**
 * Lays an entry out in rows. A line wider than the screen continues in the next row. `prompt` goes before the first
 * line and `more` before the others. After a full row the cursor is at the beginning of the next.
 */
export function layout(prompt: string, more: string, text: string, cursor: number, columns: number): Frame {
  const rows: Row[] = []
  let at = { row: 0, column: 0 }
  let offset = 0
  text.split('\n').forEach((line, i) => {
    const head = clip(i === 0 ? prompt : more, columns - 2)
    const here = cursor - offset
    const found = fold(head, line, here >= 0 && here <= line.length ? here : -1, columns)
    if (found.column !== undefined) at = { row: rows.length + found.row, column: found.column }
    for (const one of found.rows) rows.push(one)
    offset += line.length + 1
  })
  return { rows, ...at }
}

/**
 * The characters of a line as they are shown. An escape sequence in an entry is text: each of its characters is shown
 * by itself.
 */
function* letters(line: string): Generator<string> {
  for (const cell of cells(line)) {
    if (cell[0] === '\x1b') yield* cell
    else yield cell
  }
}

/** Lays one line out in rows. @param cursor an offset in the line, or -1 where the cursor is on another line */
function fold(
  head: string,
  line: string,
  cursor: number,
  columns: number,
): { rows: Row[]; row: number; column: number | undefined } {
  const indent = width(head)
  if (ascii.test(line)) {
    const first = columns - indent
    const rows = [line.slice(0, first)]
    for (let i = first; i < line.length; i += columns) rows.push(line.slice(i, i + columns))
    const place = indent + cursor
    // the cursor is behind a full row
    if (cursor === line.length && place % columns === 0 && place > 0) rows.push('')
    return {
      rows: rows.map((text, i) =>
        i ? { text, width: text.length } : { text: head + text, width: indent + text.length },
      ),
      row: Math.floor(place / columns),
      column: cursor < 0 ? undefined : place % columns,
    }
  }
  const rows: Row[] = []
  let text = head
  let used = indent
  let offset = 0
  let at: { row: number; column: number } | undefined
  const next = () => {
    rows.push({ text, width: used })
    text = ''
    used = 0
  }
  for (const cell of letters(line)) {
    const shown = cell === '\t' ? ' '.repeat(TAB - (used % TAB)) : sanitize(cell)
    const wide = width(shown)
    if (used + wide > columns) next()
    if (!at && offset >= cursor && cursor >= 0) at = { row: rows.length, column: used }
    text += shown
    used += wide
    offset += cell.length
  }
  if (!at && cursor >= 0) {
    if (used >= columns) next()
    at = { row: rows.length, column: used }
  }
  rows.push({ text, width: used })
  return { rows, row: at?.row ?? 0, column: at?.column }
}
