/** Control characters but \n and \t, DEL, C1, bidirectional overrides and isolates, halves of a surrogate pair. */
const harmful = /\r\n|(?![\n\t])\p{Cc}|[\u202a-\u202e\u2066-\u2069]|\p{Cs}/gu

/**
 * Makes text that is not ours harmless on a terminal: what would move the cursor, colour, retitle, write to the clipboard or
 * turn the reading direction is shown instead: ESC as ␛, a C1 as the two characters it is short for (U+009B as ␛[). \r\n
 * becomes \n. Character by character, so a stream may be cut anywhere.
 */
export function sanitize(text: string): string {
  return text.replace(harmful, c => {
    const code = c.charCodeAt(0)
    if (c === '\r\n') return '\n'
    if (code < 0x20) return String.fromCharCode(0x2400 + code)
    if (code === 0x7f) return '\u2421'
    if (code < 0xa0) return `\u241b${String.fromCharCode(code - 0x40)}`
    return '\ufffd'
  })
}
