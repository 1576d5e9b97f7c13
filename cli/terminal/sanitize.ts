/** Makes text from elsewhere safe to print on a terminal. */
/** Control characters except \n and \t, DEL, C1, bidirectional overrides and isolates, unpaired surrogates. */
const harmful = /\r\n|(?![\n\t])\p{Cc}|[\u202a-\u202e\u2066-\u2069]|\p{Cs}/gu

/**
 * Makes text from elsewhere harmless on a terminal. Characters that would move the cursor, set colours or the title,
 * write to the clipboard or change the direction of text are replaced by visible ones: ESC by ␛, a C1 control by the
 * two characters that it abbreviates (U+009B by ␛[). \r\n becomes \n. Characters are replaced one by one, so a stream
 * may be cut anywhere.
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
