/** Expands words: variables, lists, command output and globs. */

import type { Part, Word } from './ast.js'
import { ShellError } from './failure.js'
import { globbed, type Piece } from './glob.js'
import { print } from './print.js'
import type { State } from './state.js'

/** A word before its globs are looked up: a text in pieces, each either literal or a glob. */
export type Value = readonly Piece[]

/** Runs the commands of `` `{…} `` and returns what they print. */
export type Output = (part: Part & { kind: 'output' }) => Promise<string>

/** The most items in one list: a list that is joined to itself again and again grows fast. */
const MOST = 1_000_000

/** The values of a word: none, one, or a list. @throws ShellError if lists cannot be joined */
export async function values(word: Word, state: State, output: Output): Promise<readonly Value[]> {
  let out: readonly Value[] | undefined
  for (const part of word) {
    const next = await partValues(part, state, output)
    out = out === undefined ? next : join(out, next)
  }
  return out ?? []
}

/** Joins two lists as `^` does: item by item, or a single item with each item of the other list. */
function join(a: readonly Value[], b: readonly Value[]): readonly Value[] {
  if (a.length === 0 || b.length === 0) throw new ShellError('cannot join an empty list')
  if (a.length !== 1 && b.length !== 1 && a.length !== b.length)
    throw new ShellError(
      `cannot join lists of ${a.length} and ${b.length} words; they must be equally long, or one must have one word`,
    )
  const length = Math.max(a.length, b.length)
  return Array.from({ length }, (_, i) => [...a[a.length === 1 ? 0 : i]!, ...b[b.length === 1 ? 0 : i]!])
}

const plain = (text: string): Value => [{ text, glob: false }]

async function partValues(part: Part, state: State, output: Output): Promise<readonly Value[]> {
  switch (part.kind) {
    case 'text':
      return [plain(part.text)]
    case 'glob':
      return [[{ text: part.text, glob: true }]]
    case 'block':
      return [plain(`{ ${print(part.body)} }`)]
    case 'list': {
      const out: Value[] = []
      for (const word of part.words) {
        for (const value of await values(word, state, output)) out.push(value)
        if (out.length > MOST) throw new ShellError(`list too long; at most ${MOST} words`)
      }
      return out
    }
    case 'variable': {
      const list = variable(state, part.name)
      if (part.form === 'count') return [plain(String(list.length))]
      if (part.form === 'joined') return [plain(list.join(' '))]
      if (!part.index) return list.map(plain)
      const at = (await Promise.all(part.index.map(word => texts(word, state, output)))).flat()
      return at.flatMap(index => pick(list, index)).map(plain)
    }
    case 'output': {
      const text = await output(part)
      const separators = state.variables.get('ifs')?.[0]
      const between =
        separators === undefined ? /[ \t\n]+/ : new RegExp(`[${separators.replace(/[\]\\^-]/g, '\\$&')}]+`)
      return (separators === '' ? [text] : text.split(between)).filter(one => one !== '').map(plain)
    }
  }
}

/** The value of a variable. `$1` is the first argument. */
const variable = (state: State, name: string): readonly string[] =>
  /^\d+$/.test(name) ? (name === '0' ? state.get('0') : pick(state.get('*'), name)) : state.get(name)

function pick(list: readonly string[], index: string): readonly string[] {
  const [, from, dash, to] = /^(\d+)(-(\d*))?$/.exec(index) ?? []
  if (from === undefined || from === '0') throw new ShellError(`expected an index such as 1, 2-3 or 2-, not "${index}"`)
  return list.slice(Number(from) - 1, dash ? (to ? Number(to) : undefined) : Number(from))
}

/** Expands a word to texts. Globs stay as they are written. */
export async function texts(word: Word, state: State, output: Output): Promise<string[]> {
  return (await values(word, state, output)).map(value => value.map(({ text }) => text).join(''))
}

/** Expands words to what a command gets, with globs replaced by the files they match. */
export async function expand(
  words: readonly Word[],
  state: State,
  output: Output,
  signal: AbortSignal,
): Promise<string[]> {
  const out: string[] = []
  for (const word of words)
    for (const value of await values(word, state, output)) {
      if (value.some(({ glob }) => glob)) for (const one of await globbed(value, state, signal)) out.push(one)
      else out.push(value.map(({ text }) => text).join(''))
    }
  return out
}
