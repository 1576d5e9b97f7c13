/**
 * Reads the YAML of people's own files and variables. The text is checked before it is parsed, because there are short
 * texts that take the parser minutes, or that end the process with a stack overflow that cannot be caught.
 */
import { LineCounter, parseDocument, visit } from 'yaml'

/**
 * The most characters of one text. The parser compares each key with all others, so a text eight times as long takes it
 * seconds.
 */
export const MAX_YAML = 32 * 1024
/** How deep lists and keys may be nested; our own settings have three levels. */
const MAX_DEPTH = 16
/** Matches more than MAX_DEPTH nested lists and keys on one line: `- - - x`. */
const marks = new RegExp(`(?:[-?:][ \\t]+){${MAX_DEPTH + 1}}`)

/** A text that was parsed. */
export interface Yaml {
  /** The tree of nodes; null for an empty text. */
  readonly contents: unknown
  /** The errors of the text, each with its offset. */
  readonly errors: readonly { readonly at: number; readonly message: string }[]
  /** The line of an offset, from 1. */
  lineOf(offset: number): number
}

/**
 * Parses a text. Errors are returned and not thrown.
 * @param schema with `failsafe` every value is the text that is written
 */
export function readYaml(text: string, schema: 'core' | 'failsafe' = 'core'): Yaml {
  const unfit = unfitness(text)
  if (unfit !== undefined) return { contents: null, errors: [{ at: 0, message: unfit }], lineOf: () => 1 }
  const lines = new LineCounter()
  const doc = parseDocument(text, { lineCounter: lines, prettyErrors: false, schema })
  const errors = doc.errors.map(({ pos, message }) => ({ at: pos[0], message }))
  // a few nested aliases stand for more text than fits into memory
  visit(doc, {
    Alias: (_, { source, range }) => {
      errors.push({ at: range?.[0] ?? 0, message: `*${source}: aliases are not supported; write the value itself` })
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
  return depth > MAX_DEPTH || marks.test(text) ? `lists and keys nested more than ${MAX_DEPTH} deep` : undefined
}
