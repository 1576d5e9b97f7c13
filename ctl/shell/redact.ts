import { byPlace } from './arguments.js'
import { byChance } from './entropy.js'
import { bySight, SECRET, type Span } from './secrets.js'

/** What stands for a secret in what is sent. */
export const REDACTED = '[redacted]'

/** What was taken out of a text, and by which rule. */
export interface Removed {
  readonly rule: string
  readonly text: string
}

const secretName = new RegExp(SECRET, 'i')

/** Adds where values of the environment's variables stand whose names say that they are secrets. */
function byEnvironment(text: string, env: NodeJS.ProcessEnv, add: (span: Span) => void): void {
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined || value.length < 8 || value.startsWith('/') || !secretName.test(name)) continue
    for (let from = text.indexOf(value); from >= 0; from = text.indexOf(value, from + value.length))
      add({ from, to: from + value.length, rule: `$${name}` })
  }
}

/**
 * Takes out of a text what looks like a secret: nothing that leaves the shell's own machine leaves it otherwise. It would rather
 * take too much. Takes time in proportion to the text, whatever the text is.
 * @param env whose secrets are taken out wherever they stand
 * @returns the text without them, and what was taken out in its order
 */
export function takeOut(text: string, env: NodeJS.ProcessEnv = {}): { text: string; removed: Removed[] } {
  const spans: Span[] = []
  const add = (span: Span) => void spans.push(span)
  byEnvironment(text, env, add)
  bySight(text, add)
  byPlace(text, add)
  byChance(text, add)
  // what several rules have found is one: the one that begins first and is longest names it
  spans.sort((a, b) => a.from - b.from || b.to - a.to)
  const removed: Removed[] = []
  const kept: string[] = []
  let at = 0
  for (let i = 0; i < spans.length; ) {
    const { from, rule } = spans[i]!
    let { to } = spans[i]!
    for (i++; i < spans.length && spans[i]!.from < to; i++) to = Math.max(to, spans[i]!.to)
    kept.push(text.slice(at, from), REDACTED)
    if (!text.startsWith(REDACTED, from)) removed.push({ rule, text: text.slice(from, to) })
    else if (from + REDACTED.length > to) to = from + REDACTED.length
    at = to
  }
  return { text: kept.join('') + text.slice(at), removed }
}

/** A text without what looks like a secret. */
export const redact = (text: string, env: NodeJS.ProcessEnv = {}): string => takeOut(text, env).text

/** Whether there is a secret in it. */
export const hasSecret = (text: string, env: NodeJS.ProcessEnv = {}): boolean => takeOut(text, env).removed.length > 0
