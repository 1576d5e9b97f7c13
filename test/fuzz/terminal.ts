/** Fuzzes what is shown on a terminal. */

import { Buffer as Entry } from '../../cli/terminal/buffer.js'
import { edits } from '../../cli/terminal/keys.js'
import { layout } from '../../cli/terminal/layout.js'
import { cells, width } from '../../cli/terminal/width.js'
import { Markdown } from '../../limbot/markdown.js'
import { fault, type Target } from './target.js'

const acts = Object.values(edits)
const style = (text: string) => `\x1b[1m${text}\x1b[22m`
const styles = { bold: style, italic: style, dim: style, cyan: style, underline: style, strikethrough: style }
const text = (input: Uint8Array) => new TextDecoder().decode(input)

/** A model's answer, cut anywhere: the output has no control characters except newlines and our own colours. */
function answer(input: Uint8Array): void {
  const [, columns = 0, step = 0] = input
  const markdown = new Markdown(() => 8 + (columns % 80), styles)
  const source = text(input.subarray(3))
  let out = ''
  for (let at = 0; at < source.length; at += 1 + (step % 16))
    out += markdown.push(source.slice(at, at + 1 + (step % 16)))
  out += markdown.end()
  for (const cell of cells(out))
    if (/^(?![\n\t])\p{Cc}/u.test(cell) && !/^.\[(1|22)m$/s.test(cell))
      fault(`${JSON.stringify(cell)} reaches the terminal`)
}

/** Keys in an entry: the cursor stays inside the entry, and on the screen. */
function entry(input: Uint8Array): void {
  const columns = 4 + ((input[1] ?? 0) % 60)
  const one = new Entry()
  one.insert(text(input.subarray(2, 2 + (input.length >> 1))))
  for (const byte of input.subarray(2)) {
    if (byte >= 128) one.insert(String.fromCharCode(byte * 61), true)
    else acts[byte % acts.length]!(one)
    if (one.cursor < 0 || one.cursor > one.text.length) fault(`the cursor is at ${one.cursor} of ${one.text.length}`)
  }
  const frame = layout('> ', '… ', one.text, one.cursor, columns)
  for (const row of frame.rows) if (row.width !== width(row.text) || row.width > columns) fault(`a row of ${row.width}`)
  if (frame.column >= columns || frame.row >= frame.rows.length) fault(`the cursor is at ${frame.column}, ${frame.row}`)
}

/** Text for a terminal: a model's answer, and an entry that keys have changed. The first byte chooses which. */
export const terminal: Target = {
  name: 'terminal',
  words: [
    '\x1b[',
    '\x1b]0;',
    '\x07',
    '```',
    '**',
    '\n- ',
    '\n1. ',
    '| a |\n|---|\n',
    '\n> ',
    '# ',
    '](',
    '漢',
    'e\u0301',
    '\u202e',
    '\n\n',
    '    ',
  ],
  seeds: () =>
    [
      '0\x28\x03# Head\n\nA **bold** and `code` [link](http://x.y).\n\n- one\n  - two\n\n1. a\n2. b\n\n```js\nlet x\n```\n\n| a | b |\n|--:|---|\n| 1 | 漢字 |\n\n> quoted\n',
      '0\x10\x00a\x1b[31mb\x1b]52;c;x\x07\u009b2J\r\u202e',
      '1\x20one two\nthree 漢字 e\u0301\tx',
    ].map(seed => new TextEncoder().encode(seed)),
  run(input) {
    ;(input[0] ?? 0) % 2 === 0 ? answer(input) : entry(input)
  },
}
