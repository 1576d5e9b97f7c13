/** The errors for a word that is not one of those that are accepted. */

import { type FsError, fail } from '../api/errors.js'
import { shown } from '../api/field.js'

/** Checks a word. @throws FsError `bad argument: NAME: expected one of …, not …` */
export function oneOf<T extends string>(name: string, value: string | undefined, words: readonly T[]): T {
  const found = words.find(word => word === value)
  if (found === undefined) throw fail('badArgument', `${name}: expected one of ${words.join(' ')}, not ${shown(value)}`)
  return found
}

const plural = { worker: 'workers', host: 'hosts', class: 'classes' } as const

/**
 * The error for a name that does not exist: `bad argument: no worker "w9"; workers: worker-0001 worker-0002`.
 * @param known the names that exist
 * @param empty why there are none
 */
export function noSuch(kind: keyof typeof plural, name: string, known: readonly string[], empty: string): FsError {
  const choices = known.length > 0 ? `${plural[kind]}: ${known.join(' ')}` : empty
  return fail('badArgument', `no ${kind} ${shown(name)}; ${choices}`)
}
