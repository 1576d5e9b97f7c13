/** The sampling settings of a root and of a session: their ranges, defaults and `ctl` commands. */

import { MAX_MODEL, MAX_STOP, MAX_STOPS, ranges } from '../../api/conversation.js'
import { fail } from '../../api/errors.js'
import { shown } from '../../api/field.js'
import { quote } from '../../fs/base/quote.js'
import { miscounted, type Verb, word1 } from '../../fs/kit/ctl.js'
import type { Sampling } from './generation.js'

/**
 * Reads a number within a range from a text or a JSON value.
 * @throws FsError `bad argument` naming setting and range
 */
export function number(name: string, value: unknown, low: number, high: number, whole = false): number {
  const n = typeof value === 'string' && value.trim() !== '' ? Number(value) : value
  if (typeof n !== 'number' || !Number.isFinite(n) || n < low || n > high || (whole && !Number.isInteger(n)))
    throw fail(
      'badArgument',
      `${name}: expected a ${whole ? 'whole ' : ''}number from ${low} to ${high}, not ${shown(value)}`,
    )
  return n
}

type Numeric = keyof typeof ranges

/** Checks the name or path of a model in a command. @throws FsError `bad argument` with the bound */
export function modelWord(name: string): string {
  if (name.length > MAX_MODEL)
    throw fail('badArgument', `model: the name or path has ${name.length} characters, at most ${MAX_MODEL}`)
  return name
}

/** Whether that is the name of a numeric setting. */
export const isNumeric = (name: string): name is Numeric => Object.hasOwn(ranges, name)

/** Reads the value of a numeric setting. @throws FsError `bad argument` naming setting and range */
export function numeric(name: Numeric, value: unknown): number {
  const { low, high, whole } = ranges[name]
  return number(name, value, low, high, whole)
}

/** The settings of a generation whose request does not say otherwise. */
export const defaults: Sampling = {
  temperature: 0.7,
  top_p: 0.95,
  top_k: 40,
  min_p: 0,
  seed: undefined,
  max_tokens: 1024,
  stop: [],
}

/** Reads stop strings, each of at least 1 character. @throws FsError `bad argument` */
export function stops(value: unknown): string[] {
  const list = typeof value === 'string' ? [value] : value
  if (!Array.isArray(list) || list.length > MAX_STOPS)
    throw fail('badArgument', `stop: expected up to ${MAX_STOPS} strings`)
  for (const item of list)
    if (typeof item !== 'string' || item === '' || item.length > MAX_STOP)
      throw fail('badArgument', `stop: expected strings of 1 to ${MAX_STOP} characters`)
  return list
}

/** The settings that a ctl holds, used for a plain `data` of a session or a root. */
export interface Settings {
  sampling: Partial<Sampling>
  system: string
}

/** The ctl commands of the sampling settings. A command without an argument restores the default. */
export function samplingVerbs(settings: () => Settings): Record<string, Verb> {
  const verbs: Record<string, Verb> = {}
  for (const name of Object.keys(ranges) as Numeric[]) {
    const usage = `${ranges[name].low} to ${ranges[name].high}`
    verbs[name] = {
      usage: `[${usage}]`,
      check(args) {
        if (args.length > 1) throw miscounted(`at most one argument (${usage})`, args.length)
        const value = args.length ? numeric(name, args[0]) : undefined
        return () => {
          const { [name]: _, ...others } = settings().sampling
          settings().sampling = value === undefined ? others : { ...others, [name]: value }
        }
      },
    }
  }
  verbs.stop = {
    usage: 'TEXT…',
    check(args) {
      const stop = stops([...args])
      return () => {
        settings().sampling = { ...settings().sampling, stop }
      }
    },
  }
  return verbs
}

/** The ctl command `system`, which sets the system prompt. */
export function systemVerb(settings: () => Settings): Verb {
  return word1('TEXT', String, value => {
    settings().system = value
  })
}

/** Formats these settings as the commands that would set them. */
export function samplingLines(sampling: Partial<Sampling>): string[] {
  const lines: string[] = []
  for (const [name, value] of Object.entries(sampling)) {
    if (Array.isArray(value)) lines.push(['stop', ...value.map(quote)].join(' '))
    else if (value !== undefined) lines.push(`${name} ${value}`)
  }
  return lines
}
