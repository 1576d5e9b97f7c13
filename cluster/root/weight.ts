/** Estimates how many bytes texts and JSON take in memory; never less than V8 needs for them. */

/** Overhead of an object, an array, a value, or a string besides its characters. */
const ITEM = 64

const code = (character: string) => character.charCodeAt(0)
const QUOTE = code('"')
const BACKSLASH = code('\\')
const items = new Set([code('{'), code('['), code(','), code(':')])

/** Bytes of a string: one per character, or two if any character needs two. */
export function textBytes(text: string): number {
  const bytes = Buffer.byteLength(text)
  return ITEM + (bytes === text.length ? bytes : 2 * text.length)
}

/**
 * Bytes of the value that a JSON text parses to: its strings, and an item for each member. `[[],[],…]` takes 20 times
 * its text.
 */
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
