/** How many columns text takes on a terminal, and where its visible characters begin and end. */
import { createRequire } from 'node:module'

const segmenter = new Intl.Segmenter()
const ascii = /^[\x20-\x7e]*$/
/** Characters of one column: Latin letters, dashes and quotation marks, box drawing. */
const narrow = /^[\x20-\x7e\xa1-\xac\xae-\u02ff\u2010-\u2027\u2500-\u257f]*$/

let measure: ((text: string) => number) | undefined
/**
 * Loads string-width at the first use: it takes longer to load than everything else that a prompt needs, and most texts
 * do without it.
 */
function wide(text: string): number {
  measure ??= createRequire(import.meta.url)('string-width').default as (text: string) => number
  return measure(text)
}
/** An escape sequence of the kinds that we write ourselves: colours and attributes (CSI), links (OSC). */
const sequence = /.(?:\[[0-?]*[ -/]*[@-~]|\]\P{Cc}*\p{Cc}\\?)/suy

/** The columns that a text takes on a terminal. Escape sequences and combining characters take none. */
export function width(text: string): number {
  if (ascii.test(text)) return text.length
  const bare = text.includes('\x1b') ? [...pieces(text)].filter(piece => piece[0] !== '\x1b').join('') : text
  return narrow.test(bare) ? bare.length : wide(bare)
}

/** Splits a text into its escape sequences and the text between them. */
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

/** Splits a text into what is shown together: characters with their combining marks, and whole escape sequences. */
export function* cells(text: string): Generator<string> {
  for (const piece of pieces(text)) {
    if (piece[0] === '\x1b' && piece.length > 1) yield piece
    else if (ascii.test(piece)) yield* piece
    else for (const { segment } of segmenter.segment(piece)) yield segment
  }
}

/**
 * Cuts a text to a number of columns, never through a wide character. Escape sequences behind the cut stay, so that
 * colours end.
 */
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

/** The end of the grapheme that begins at `at`; at the end of the text `at` itself. */
export function after(text: string, at: number): number {
  const piece = text.slice(at, at + 64)
  for (const { segment } of segmenter.segment(piece)) return at + segment.length
  return at
}

/** The beginning of the grapheme that ends at `at`. */
export function before(text: string, at: number): number {
  let last = at
  const from = Math.max(0, at - 64)
  for (const { index } of segmenter.segment(text.slice(from, at))) last = from + index
  return last
}
