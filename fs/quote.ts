/**
 * Words and records as text: rc(1) quoting, ndb(6) `attr=value` records.
 *
 * Every ctl line, status line and trace line in llambo is made and read here, so that what one file
 * prints another accepts (`cat ctl > saved; cat saved > ctl`).
 */

/** A word that begins with `#` would be a comment at the beginning of a line. */
const plain = /^(?!#)[^\s'"()[\]=\p{Cc}]+$/u
/** What a value (the right of `attr=`) may hold unquoted: it may have `=` in it. */
const plainValue = /^[^\s'"\p{Cc}]+$/u
const lineBreaks = /[\r\n]+/g
/** What would move a cursor, colour, or turn the reading direction: a value may be somebody else's, and records are read on terminals. */
const harmful = /(?!\t)[\p{Cc}\p{Cs}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu
const quotedText = /[^']*/y
const unquotedText = /[^\s']*/y

/** Quotes a word as rc(1) does: as it is where nothing in it is special, else `'it''s'`. */
export function quote(word: string): string {
  return plain.test(word) ? word : `'${word.replaceAll("'", "''")}'`
}

/**
 * Splits text into words at blanks, honouring rc quotes; a quoted word may hold newlines.
 * @returns one array of words per line; blank lines and `#` comments give none
 * @throws SyntaxError at a quote that is never closed, naming the line it opens on
 */
export function words(text: string): string[][] {
  const lines: string[][] = []
  let line: string[] = []
  let at = 0
  let row = 1
  while (at < text.length) {
    const c = text[at]!
    if (c === '\n') {
      if (line.length) lines.push(line)
      line = []
      row++
      at++
    } else if (/\s/.test(c)) {
      at++
    } else if (c === '#' && line.length === 0) {
      while (at < text.length && text[at] !== '\n') at++
    } else {
      let word = ''
      const opened = row
      for (let quoted = false; ; ) {
        // up to what may end this stretch of the word: a quote, or a blank outside quotes
        const stretch = quoted ? quotedText : unquotedText
        stretch.lastIndex = at
        const part = stretch.exec(text)![0]
        word += part
        at += part.length
        if (quoted) row += part.split('\n').length - 1
        const next = text[at]
        if (next === undefined) {
          if (quoted) throw new SyntaxError(`line ${opened}: a quote is not closed`)
          break
        }
        if (next !== "'") break
        at++
        if (quoted && text[at] === "'") word += text[at++]
        else quoted = !quoted
      }
      line.push(word)
    }
  }
  if (line.length) lines.push(line)
  return lines
}

export type Value = string | number | bigint | boolean

/**
 * One ndb(6) record: `word attr=value …` on one line, without its newline. `undefined` values are left out;
 * a boolean prints as `yes` or `no`; line breaks in a value become blanks, for a record is one line, and other control
 * characters become U+FFFD.
 */
export function record(word: string, attrs: Record<string, Value | undefined>): string {
  let out = word
  for (const [name, value] of Object.entries(attrs)) {
    if (value === undefined) continue
    const text =
      typeof value === 'string' ? harmless(value) : typeof value === 'boolean' ? (value ? 'yes' : 'no') : String(value)
    out += `${out ? ' ' : ''}${name}=${plainValue.test(text) ? text : `'${text.replaceAll("'", "''")}'`}`
  }
  return out
}

/** Most values are short words without anything of that. */
const harmless = (text: string): string =>
  plainValue.test(text) && text.search(harmful) < 0 ? text : text.replace(lineBreaks, ' ').replace(harmful, '\ufffd')

/** Reads records back: the first word without `=` is the record's `word` (else ''), the rest its attributes. */
export function parseRecords(text: string): { word: string; attrs: Record<string, string> }[] {
  return words(text).map(line => {
    const out = { word: '', attrs: {} as Record<string, string> }
    line.forEach((item, i) => {
      const eq = item.indexOf('=')
      if (eq > 0) out.attrs[item.slice(0, eq)] = item.slice(eq + 1)
      else if (i === 0) out.word = item
    })
    return out
  })
}
