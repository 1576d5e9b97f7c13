import { createRequire } from 'node:module'

const segmenter = new Intl.Segmenter()
const ascii = /^[\x20-\x7e]*$/
/** Letters of one column: Latin, dashes and quotation marks, lines. */
const narrow = /^[\x20-\x7e\xa1-\xac\xae-\u02ff\u2010-\u2027\u2500-\u257f]*$/

let measure: ((text: string) => number) | undefined
/** string-width takes longer to load than all else that a prompt needs, and most texts do without. */
function wide(text: string): number {
  measure ??= createRequire(import.meta.url)('string-width').default as (text: string) => number
  return measure(text)
}
/** ESC and what goes with it, of what we write ourselves: colours and such, links. */
const sequence = /.(?:\[[0-?]*[ -/]*[@-~]|\]\P{Cc}*\p{Cc}\\?)/suy

/** Columns that a text takes on a terminal; escape sequences and combining characters take none. */
export function width(text: string): number {
  if (ascii.test(text)) return text.length
  const bare = text.includes('\x1b') ? [...pieces(text)].filter(piece => piece[0] !== '\x1b').join('') : text
  return narrow.test(bare) ? bare.length : wide(bare)
}

/** Escape sequences, and what is between them. */
function* pieces(text: string): Generator<string> {
  for (let at = 0; at < text.length; ) {
    const next = text.indexOf('\x1b', at)
    sequence.lastIndex = at
    const whole = next === at ? sequence.exec(text)?.[0] : undefined
    const piece = next === at ? (whole ?? '\x1b') : text.slice(at, next === -1 ? undefined : next)
    yield piece
    at += piece.length
  }
}

/** A text as what is shown together: letters with what combines with them, and whole escape sequences. */
export function* cells(text: string): Generator<string> {
  for (const piece of pieces(text)) {
    if (piece[0] === '\x1b' && piece.length > 1) yield piece
    else if (ascii.test(piece)) yield* piece
    else for (const { segment } of segmenter.segment(piece)) yield segment
  }
}

/** Cuts a text to so many columns: never through a wide character, and escape sequences behind the cut stay, so that colours end. */
export function clip(text: string, columns: number): string {
  if (ascii.test(text)) return text.slice(0, Math.max(0, columns))
  let out = ''
  let left = columns
  let cut = false
  for (const cell of cells(text)) {
    const whole = cell[0] === '\x1b'
    if (!whole && !cut) {
      left -= width(cell)
      cut = left < 0
    }
    if (whole || !cut) out += cell
  }
  return out
}

/** The end of the character, as a reader sees it, that begins at `at`; at the end of the text the end. */
export function after(text: string, at: number): number {
  const piece = text.slice(at, at + 64)
  for (const { segment } of segmenter.segment(piece)) return at + segment.length
  return at
}

/** The beginning of the character that ends at `at`. */
export function before(text: string, at: number): number {
  let last = at
  const from = Math.max(0, at - 64)
  for (const { index } of segmenter.segment(text.slice(from, at))) last = from + index
  return last
}
