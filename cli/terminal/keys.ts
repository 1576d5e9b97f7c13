/** The names of keys, and the keys that edit an entry. */
import type { Key } from 'node:readline'
import type { Buffer } from './buffer.js'

/** Escape sequences for which node:readline has no name. */
const sequences: Readonly<Record<string, string>> = {
  '\x1f': 'C-_',
  '\x1b[13;2u': 'S-return',
  '\x1b[13;5u': 'C-return',
  '\x1b[27;2;13~': 'S-return',
}

/**
 * The name of a key as Emacs writes it: `C-a`, `M-return`, `up`.
 * @param text the characters of the key, as readline reports them
 * @returns undefined for a key that only inserts its character
 */
export function keyName(text: string | undefined, key: Key): string | undefined {
  const { name, ctrl, meta, sequence = '' } = key
  const known = sequences[sequence]
  if (known) return known
  if (text === undefined || ctrl || meta)
    return `${ctrl ? 'C-' : ''}${meta && name !== 'escape' ? 'M-' : ''}${name ?? sequence.slice(1)}`
  if (text < ' ' || text === '\x7f') return name ?? 'unknown'
  return undefined
}

/** The keys that edit an entry, by name. */
export const edits: Readonly<Record<string, (buffer: Buffer) => void>> = {
  left: b => b.move(b.left),
  right: b => b.move(b.right),
  'C-b': b => b.move(b.left),
  'C-f': b => b.move(b.right),
  'C-left': b => b.move(b.wordLeft),
  'C-right': b => b.move(b.wordRight),
  'M-left': b => b.move(b.wordLeft),
  'M-right': b => b.move(b.wordRight),
  'M-b': b => b.move(b.wordLeft),
  'M-f': b => b.move(b.wordRight),
  home: b => b.move(b.lineStart),
  end: b => b.move(b.lineEnd),
  'C-a': b => b.move(b.lineStart),
  'C-e': b => b.move(b.lineEnd),
  'C-home': b => b.move(0),
  'C-end': b => b.move(b.text.length),
  backspace: b => b.cursor > 0 && b.replace(b.left, b.cursor, ''),
  delete: b => b.cursor < b.text.length && b.replace(b.cursor, b.right, ''),
  'C-w': b => b.kill(b.blankLeft),
  'M-backspace': b => b.kill(b.wordLeft),
  'C-backspace': b => b.kill(b.wordLeft),
  'M-d': b => b.kill(b.wordRight),
  'C-u': b => b.kill(b.cursor === b.lineStart ? Math.max(0, b.cursor - 1) : b.lineStart),
  'C-k': b => b.kill(b.cursor === b.lineEnd ? Math.min(b.text.length, b.cursor + 1) : b.lineEnd),
  'C-y': b => b.yank(),
  'C-t': b => b.transpose(),
  'C-_': b => b.undo(),
  'C-x C-u': b => b.undo(),
  enter: b => b.insert('\n'),
  'M-return': b => b.insert('\n'),
  'M-enter': b => b.insert('\n'),
  'S-return': b => b.insert('\n'),
  'C-return': b => b.insert('\n'),
}
