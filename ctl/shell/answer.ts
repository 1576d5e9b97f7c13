import { MAX_CAUSE, MAX_COMMAND } from './limits.js'
import type { Question } from './question.js'
import { REDACTED } from './redact.js'

/** What a terminal might take for something else than a letter: controls, format characters (bidi, zero width), line ends. */
const odd = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu

/** Blanks that push what follows them out of sight, or are none to a shell. */
const hides = / {5}|(?! )\p{Zs}/u

/** One line of ordinary letters. */
const tame = (value: string) => value.replace(odd, ' ').replace(/\s+/g, ' ').trim()

/**
 * What a model has said as the one line that a shell is given: cause, a tab, command. A command with anything odd in it is left out
 * whole: what is left of it would be another one.
 * @returns '' where there is nothing to say
 */
export function answerLine(said: string, { kind, line }: Question): string {
  let json: { cause?: unknown; command?: unknown }
  try {
    json = JSON.parse(said)
  } catch {
    return ''
  }
  const text = (value: unknown) => (typeof value === 'string' ? value : '')
  const cause = tame(text(json?.cause)).slice(0, MAX_CAUSE)
  const given = text(json?.command)
  const fit = given.length <= MAX_COMMAND && given.search(odd) < 0 && !hides.test(given) ? given.trim() : ''
  if (kind === 'typing') return fit.startsWith(line) && fit.length > line.length ? `\t${fit}` : ''
  // nor is one in which a secret was, and is no more
  const command = fit === line || fit.includes(REDACTED) ? '' : fit
  return cause || command ? `${cause}\t${command}` : ''
}
