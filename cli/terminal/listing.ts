/** Formats the completions that are listed below an entry. */
import { sanitize } from './sanitize.js'
import { width } from './width.js'

/** The texts that may replace the text from `from` to the cursor. */
export interface Completion {
  readonly from: number
  readonly items: readonly { readonly text: string; readonly help?: string }[]
}

/** The most rows of a list of completions. */
const LIST = 12

/** The longest common prefix of two texts. */
export function shared(a: string, b: string): string {
  let n = 0
  while (n < a.length && a[n] === b[n]) n++
  return a.slice(0, n)
}

/** Formats completions as rows: in columns, or one a row where there is help. */
export function listing(items: Completion['items'], columns: number): string[] {
  const texts = items.map(({ text, help }) => ({ text: sanitize(text).trimEnd(), help: sanitize(help ?? '') }))
  const wide = Math.max(...texts.map(({ text }) => width(text))) + 2
  const pad = (text: string) => text + ' '.repeat(wide - width(text))
  const each = texts.some(({ help }) => help !== '') ? 1 : Math.max(1, Math.floor(columns / wide))
  const rows: string[] = []
  for (let i = 0; i < texts.length; i += each) {
    rows.push(
      texts
        .slice(i, i + each)
        .map(({ text, help }) => pad(text) + help)
        .join('')
        .trimEnd(),
    )
  }
  if (rows.length <= LIST) return rows
  return [...rows.slice(0, LIST - 1), `… and ${items.length - (LIST - 1) * each} more`]
}
