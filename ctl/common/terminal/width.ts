import stringWidth from 'string-width'

const segmenter = new Intl.Segmenter()
const ascii = /^[\x20-\x7e]*$/
/** ESC and what goes with it, of what we write ourselves: colours and such, links. */
const sequence = /.(?:\[[0-?]*[ -/]*[@-~]|\]\P{Cc}*\p{Cc}\\?)/suy

/** Columns that a text takes on a terminal; escape sequences and combining characters take none. */
export const width = (text: string): number => (ascii.test(text) ? text.length : stringWidth(text))

/** A text as what is shown together: letters with what combines with them, and whole escape sequences. */
export function* cells(text: string): Generator<string> {
  for (let at = 0; at < text.length; ) {
    sequence.lastIndex = at
    const found = text[at] === '\x1b' ? sequence.exec(text)?.[0] : undefined
    if (found) {
      yield found
      at += found.length
      continue
    }
    const next = text.indexOf('\x1b', at + 1)
    const plain = text.slice(at, next === -1 ? undefined : next)
    if (ascii.test(plain)) yield* plain
    else for (const { segment } of segmenter.segment(plain)) yield segment
    at += plain.length
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
