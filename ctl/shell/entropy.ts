/** The last resort against secrets: finds long words that look random, whatever their context. */

import type { Span } from './secrets.js'

/** Shorter words are too often names. */
const SHORTEST = 24
/** Longer words are data, and their beginning is enough to tell. Each word is looked at once. */
const LONGEST = 4096
/** Bits per letter: about what 24 random letters have. English has 4 in a long text, and less in a short one. */
const LEAST_BITS = 3.7
/**
 * How often the kind of letter (small, capital, digit) changes in random words. In words and CamelCase names it changes
 * half as often.
 */
const LEAST_CHANGES = 0.38

const candidate = /[A-Za-z0-9+/_=-]{24,}/g

/** What comes before words that look random but are not secret: the name of a digest. */
const known = /(?:sha\d{1,3}|md5|blake2b|blake3)[:-]$/i

const kind = (code: number) => (code >= 97 ? 0 : code >= 65 ? 1 : code >= 48 && code <= 57 ? 2 : 3)

function bits(text: string): number {
  const counts = new Map<string, number>()
  for (const letter of text) counts.set(letter, (counts.get(letter) ?? 0) + 1)
  let sum = 0
  for (const count of counts.values()) sum -= (count / text.length) * Math.log2(count / text.length)
  return sum
}

/**
 * Whether a word is likely to be random. Hexadecimal digests and UUIDs do not count, although a secret may look the
 * same.
 */
function isRandom(word: string): boolean {
  const kinds = Array.from(word, letter => kind(letter.charCodeAt(0)))
  if (!([0, 1, 2] as const).every(one => kinds.includes(one))) return false
  const changes = kinds.filter((one, i) => i > 0 && one !== kinds[i - 1]).length
  return changes / word.length >= LEAST_CHANGES && bits(word) >= LEAST_BITS
}

/** Adds the words that look random. */
export function byChance(text: string, add: (span: Span) => void): void {
  for (const { 0: found, index } of text.matchAll(candidate)) {
    const before = text.slice(Math.max(0, index - 10), index)
    // option=VALUE, NAME=VALUE
    const cut = found.length - found.replace(/^[\w-]*=(?=[^=])/, '').length
    const word = found.slice(cut, LONGEST)
    const behind = text.slice(index + found.length, index + found.length + 6)
    // part of a path, or a file's name
    const isPath = /[/~.]$/.test(before + found.slice(0, cut)) || word.startsWith('/') || /^\.\w/.test(behind)
    const isPublic = known.test(before) || /^sha\d{3}-/.test(word) || word.startsWith('AAAA')
    if (word.length >= SHORTEST && !isPath && !isPublic && isRandom(word))
      add({ from: index + cut, to: index + found.length, rule: 'looks random' })
  }
}
