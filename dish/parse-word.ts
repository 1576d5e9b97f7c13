/** Parses a word of a command line. */

import type { Part, Sequence, Word } from './ast.js'
import type { Cursor } from './cursor.js'

/** The unquoted text of a word: anything except spaces and special characters. */
const plain = /[^\s#;&|^$`'{}()<>*?[\\]+|#|\[|\\(?!\r?\n)/y
const bracket = /\[[^\s\]/'][^\s\]/']*\]/y
const name = /[A-Za-z0-9_]+|\*/y

/** The message about a character that is not valid at the cursor. */
export const unexpected = (c: Cursor): string => `unexpected ${JSON.stringify(c.char)}`

/** Whether a word may begin here. */
export const beginsWord = (c: Cursor): boolean => !c.done && !/[\s;&|)}<>^#]/.test(c.char) && !c.sees(/\\\r?\n/y)

/**
 * Parses one word: parts side by side, or joined by `^`.
 * @param block parses `{…}`, since a word may contain commands
 * @throws DishSyntaxError
 */
export function parseWord(c: Cursor, block: () => Sequence): Word {
  if (!beginsWord(c)) c.fail(c.done ? 'missing word' : `missing word before ${JSON.stringify(c.char)}`)
  const parts: Part[] = []
  for (;;) {
    add(parts, parsePart(c, block))
    const before = c.at
    c.match(/(?:[^\S\n]|\\\r?\n)+/y)
    if (c.take('^')) {
      c.blanks()
      if (!beginsWord(c)) c.fail('missing word after ^')
      continue
    }
    c.at = before
    // only ^ joins a list or a block to what stands beside it
    if (c.done || c.char === '(' || c.char === '{' || (!beginsWord(c) && c.char !== '#')) return parts
  }
}

/** Adds a part. Adjacent texts become one. */
function add(parts: Part[], part: Part): void {
  const last = parts.at(-1)
  if (last?.kind === 'text' && part.kind === 'text')
    parts[parts.length - 1] = { kind: 'text', text: last.text + part.text }
  else parts.push(part)
}

function parsePart(c: Cursor, block: () => Sequence): Part {
  switch (c.char) {
    case "'":
      return { kind: 'text', text: quoted(c) }
    case '$':
      return variable(c, block)
    case '`':
      c.at++
      if (!c.sees(/\{/y)) c.fail('missing "{" after `; usage: `{COMMAND…}')
      return { kind: 'output', body: c.nested(block) }
    case '{':
      return { kind: 'block', body: c.nested(block) }
    case '(':
      return { kind: 'list', words: parseList(c, block) }
  }
  const glob = c.match(/[*?]/y) ?? c.match(bracket)
  if (glob !== undefined) return { kind: 'glob', text: glob }
  const text = c.match(plain)
  if (text === undefined) c.fail(unexpected(c))
  return { kind: 'text', text }
}

/** `(a b)`. Newlines in it count as spaces. */
export function parseList(c: Cursor, block: () => Sequence): Word[] {
  const opened = c.at
  c.at++
  return c.nested(() => {
    const words: Word[] = []
    for (;;) {
      c.blanks(true)
      if (c.take(')')) return words
      if (c.done) c.fail('"(" is not closed', opened, true)
      words.push(parseWord(c, block))
    }
  })
}

function quoted(c: Cursor): string {
  const opened = c.at
  let text = ''
  do {
    c.at++
    text += c.match(/[^']*/y)
    if (c.done) c.fail('a quote is not closed', opened, true)
    c.at++
    if (c.char === "'") text += "'"
  } while (c.char === "'")
  return text
}

function variable(c: Cursor, block: () => Sequence): Part {
  const opened = c.at
  c.at++
  const form = c.take('#') ? 'count' : c.take('"') ? 'joined' : 'list'
  const found = c.match(name)
  if (found === undefined) c.fail("missing name after $; a plain $ is '$'", opened, false)
  if (form !== 'list' || c.char !== '(') return { kind: 'variable', name: found, form }
  return { kind: 'variable', name: found, form, index: parseList(c, block) }
}
