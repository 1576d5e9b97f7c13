/** Turns what a model says into the line that a shell gets. */

import { MAX_CAUSE, MAX_COMMAND } from './limits.js'
import type { Question } from './question.js'
import { REDACTED } from './redact.js'

/**
 * Characters that a terminal might not take for a letter: controls, format characters (bidi, zero width), line ends.
 */
const odd = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu

/** Spaces that push what follows them out of sight, or that a shell does not take for spaces. */
const hides = / {5}|(?! )\p{Zs}/u

/** A text as one line of ordinary letters. */
const tame = (value: string) => value.replace(odd, ' ').replace(/\s+/g, ' ').trim()

/**
 * Turns what a model has said into the one line that a shell gets: cause, a tab, command. A command that contains an
 * odd character is dropped, because without that character it would be a different command.
 * @returns '' if there is nothing to say
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
  // a command that contains a redacted secret is dropped as well
  const command = fit === line || fit.includes(REDACTED) ? '' : fit
  return cause || command ? `${cause}\t${command}` : ''
}
