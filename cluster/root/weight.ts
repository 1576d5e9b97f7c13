/** How many bytes texts and JSON take in memory, about: never less than V8 needs for them. */

/** An object, an array, a value or a string of its own beside its characters. */
const ITEM = 64

const code = (character: string) => character.charCodeAt(0)
const QUOTE = code('"')
const BACKSLASH = code('\\')
const items = new Set([code('{'), code('['), code(','), code(':')])

/** A string: a byte a character, or two where one of them needs it. */
export function textBytes(text: string): number {
  const bytes = Buffer.byteLength(text)
  return ITEM + (bytes === text.length ? bytes : 2 * text.length)
}

/** What comes of a JSON text when it is parsed: its strings, and an item for each member; `[[],[],…]` is 20 times its text. */
export function jsonBytes(json: string): number {
  let count = 1
  let quoted = false
  for (let i = 0; i < json.length; i++) {
    const at = json.charCodeAt(i)
    if (at === QUOTE) quoted = !quoted
    else if (quoted) {
      if (at === BACKSLASH) i++
    } else if (items.has(at)) count++
  }
  return textBytes(json) + count * ITEM
}
