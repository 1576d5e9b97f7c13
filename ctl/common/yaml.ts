/**
 * YAML of people's own files and variables. It is bounded before it is parsed: there are short texts that take the parser minutes, or that
 * end the process by overflowing its stack where nothing can catch it.
 */
import { LineCounter, parseDocument, visit } from 'yaml'

/** Characters of one text. The parser compares each key with all others, so what is eight times as long takes it seconds. */
export const MAX_YAML = 32 * 1024
/** Lists and keys inside one another; our own settings have three levels. */
const MAX_DEPTH = 16
/** Marks of lists and keys on one line, each inside the one before it: `- - - x`. */
const marks = new RegExp(`(?:[-?:][ \\t]+){${MAX_DEPTH + 1}}`)

export interface Yaml {
  /** The tree of nodes; null for an empty text. */
  readonly contents: unknown
  /** What is wrong with it, and the offset where. */
  readonly errors: readonly { readonly at: number; readonly message: string }[]
  /** The line of an offset, from 1. */
  lineOf(offset: number): number
}

/** @param schema `failsafe`: all values are the words that they are written with */
export function readYaml(text: string, schema: 'core' | 'failsafe' = 'core'): Yaml {
  const unfit = unfitness(text)
  if (unfit !== undefined) return { contents: null, errors: [{ at: 0, message: unfit }], lineOf: () => 1 }
  const lines = new LineCounter()
  const doc = parseDocument(text, { lineCounter: lines, prettyErrors: false, schema })
  const errors = doc.errors.map(({ pos, message }) => ({ at: pos[0], message }))
  // a few of them, each of the one before it, mean more text than any memory holds
  visit(doc, {
    Alias: (_, { source, range }) => {
      errors.push({ at: range?.[0] ?? 0, message: `*${source}: write the value itself; there are no references here` })
    },
  })
  return { contents: doc.contents, errors, lineOf: offset => lines.linePos(offset).line }
}

function unfitness(text: string): string | undefined {
  if (text.length > MAX_YAML) return `${text.length} characters, at most ${MAX_YAML}`
  let depth = 0
  for (const c of text) {
    if (c === '[' || c === '{') depth++
    else if (c === ']' || c === '}') depth = Math.max(0, depth - 1)
    if (depth > MAX_DEPTH) break
  }
  return depth > MAX_DEPTH || marks.test(text) ? `lists and keys over ${MAX_DEPTH} deep` : undefined
}
