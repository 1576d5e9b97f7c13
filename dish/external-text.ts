/** Finds the end of a host command. */

import type { Cursor } from './cursor.js'

const open = '({'
const close = ')}'

/**
 * Takes the text after `!`, for the host's shell: up to a `|`, `;`, `&`, newline or closing brace that is neither
 * quoted nor inside braces or parentheses of the text. `2>&1` and `&>` belong to the host command, as does everything
 * else in the text.
 * @throws DishSyntaxError
 */
export function hostText(c: Cursor): string {
  const began = c.at
  c.at++
  const nest: { closes: string; at: number }[] = []
  for (;;) {
    const { char } = c
    if (c.done) {
      if (nest.length > 0) c.fail(`"${open[close.indexOf(nest.at(-1)!.closes)]}" is not closed`, nest.at(-1)!.at, true)
      break
    }
    if (char === "'" || char === '"' || char === '`') quoted(c, char)
    else if (char === '\\') c.at += 2
    else if (nest.length === 0 && (/[|;\n)}]/.test(char) || (char === '&' && !redirects(c)))) break
    else {
      if (open.includes(char)) nest.push({ closes: close[open.indexOf(char)]!, at: c.at })
      else if (close.includes(char)) {
        if (nest.at(-1)?.closes !== char) c.fail(`unmatched "${char}"`, c.at, false)
        nest.pop()
      }
      c.at++
    }
  }
  c.at = Math.min(c.at, c.text.length)
  const text = c.text.slice(began + 1, c.at).trim()
  if (text === '') c.fail('missing command after !', began, false)
  return text
}

/** Whether this & is part of `>&`, `<&` or `&>`. */
const redirects = (c: Cursor): boolean => /[<>]/.test(c.text[c.at - 1] ?? '') || c.text[c.at + 1] === '>'

function quoted(c: Cursor, quote: string): void {
  const began = c.at
  c.at++
  while (!c.done && c.char !== quote) c.at += c.char === '\\' && quote !== "'" ? 2 : 1
  if (c.done) c.fail('a quote is not closed', began, true)
  c.at++
}
