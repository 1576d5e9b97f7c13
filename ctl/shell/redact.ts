/** Takes secrets out of a text. */

import { byPlace } from './arguments.js'
import { byChance } from './entropy.js'
import { bySight, SECRET, type Span } from './secrets.js'

/** What replaces a secret in a text that is sent. */
export const REDACTED = '[redacted]'

/** A secret that was taken out of a text, and the rule that found it. */
export interface Removed {
  readonly rule: string
  readonly text: string
}

const secretName = new RegExp(SECRET, 'i')

/**
 * Adds the places where the value of a secret environment variable occurs. The name of a variable says whether it is
 * secret.
 */
function byEnvironment(text: string, env: NodeJS.ProcessEnv, add: (span: Span) => void): void {
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined || value.length < 8 || value.startsWith('/') || !secretName.test(name)) continue
    for (let from = text.indexOf(value); from >= 0; from = text.indexOf(value, from + value.length))
      add({ from, to: from + value.length, rule: `$${name}` })
  }
}

/**
 * Takes everything out of a text that looks like a secret. Nothing leaves the shell's machine without passing through
 * here. It takes too much rather than too little. The time it takes is proportional to the length of the text, whatever
 * the text is.
 * @param env the environment, whose secrets are taken out wherever they occur
 * @returns the text without secrets, and what was taken out, in the order of the text
 */
export function takeOut(text: string, env: NodeJS.ProcessEnv = {}): { text: string; removed: Removed[] } {
  const spans: Span[] = []
  const add = (span: Span) => void spans.push(span)
  byEnvironment(text, env, add)
  bySight(text, add)
  byPlace(text, add)
  byChance(text, add)
  // overlapping finds of several rules become one, which is named after the one that begins first and is longest
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

/** A text without anything that looks like a secret. */
export const redact = (text: string, env: NodeJS.ProcessEnv = {}): string => takeOut(text, env).text

/** Whether there is a secret in a text. */
export const hasSecret = (text: string, env: NodeJS.ProcessEnv = {}): boolean => takeOut(text, env).removed.length > 0
