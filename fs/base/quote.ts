/**
 * Words and records as text: rc(1) quoting, ndb(6) `attr=value` records.
 *
 * Every ctl line, status line and trace line in llambo is written and read here, so that one file accepts what another
 * prints (`cat ctl > saved; cat saved > ctl`).
 */

/** A word that needs no quotes. At the start of a line, a word that begins with `#` would be a comment. */
const plain = /^(?!#)[^\s'"()[\]=\p{Cc}]+$/u
/**
 * A value (to the right of `attr=`) that needs no quotes: unlike a word it may contain `=`, parentheses, brackets and
 * `#`.
 */
const plainValue = /^[^\s'"\p{Cc}]+$/u
/** Values that need no quotes and have no harmful character: nearly all. One fast test takes the place of three. */
const simpleValue = /^[\w.:/+@,-]+$/
const lineBreaks = /[\r\n]+/g
/**
 * Characters that could move a cursor, change colours or turn the reading direction: a value may come from another
 * user, and records are read on terminals.
 */
const harmful = /(?!\t)[\p{Cc}\p{Cs}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu
const quotedText = /[^']*/y
const unquotedText = /[^\s']*/y

/** Quotes a word as rc(1) does: unchanged if nothing in it is special, otherwise as in `'it''s'`. */
export function quote(word: string): string {
  return plain.test(word) ? word : `'${word.replaceAll("'", "''")}'`
}

/**
 * Splits text into words at white space, honouring rc quotes; a quoted word may contain newlines.
 * @returns one array of words per line; empty lines and `#` comments give none
 * @throws SyntaxError for a quote that is never closed, naming the line on which it opens
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
        // up to a character that may end this part of the word: a quote, or white space outside quotes
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

/** A value of a record. */
export type Value = string | number | bigint | boolean

/**
 * One ndb(6) record: `word attr=value …` on one line, without its newline. Values that are `undefined` are omitted; a
 * boolean prints as `yes` or `no`. Line breaks in a value become spaces, because a record is one line, and other
 * control characters become U+FFFD.
 */
export function record(word: string, attrs: Record<string, Value | undefined>): string {
  let out = word
  for (const name of Object.keys(attrs)) {
    const value = attrs[name]
    if (value !== undefined) out += `${out ? ' ' : ''}${name}=${valueText(value)}`
  }
  return out
}

function valueText(value: Value): string {
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  if (typeof value !== 'string') return String(value)
  if (simpleValue.test(value)) return value
  const text = harmless(value)
  return plainValue.test(text) ? text : `'${text.replaceAll("'", "''")}'`
}

/** Replaces harmful characters. */
const harmless = (text: string): string => text.replace(lineBreaks, ' ').replace(harmful, '\ufffd')

/**
 * Reads records back: the first word, if it has no `=`, is the record's `word` (otherwise ''), the rest are its
 * attributes.
 */
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
