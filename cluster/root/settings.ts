/** The sampling settings of a root and of a session: their `ctl` commands, and which of several count. */

import { MAX_MODEL } from '../../api/conversation.js'
import { fail } from '../../api/errors.js'
import { argument, typed } from '../../api/field.js'
import { defaults, type Numeric, numeric, ranges, type Sampling, samplingNames, stops } from '../../api/sampling.js'
import { quote } from '../../fs/base/quote.js'
import { miscounted, type Verb, word1 } from '../../fs/kit/ctl.js'

/**
 * Reads a number within a range from a text.
 * @throws FsError `bad argument` naming setting and range
 */
export const number = (name: string, value: unknown, low: number, high: number, whole = false): number =>
  argument(typed(low, high, whole), value, name)

/** Checks the name or path of a model in a command. @throws FsError `bad argument` with the bound */
export function modelWord(name: string): string {
  if (name.length > MAX_MODEL)
    throw fail('badArgument', `model: the name or path has ${name.length} characters, at most ${MAX_MODEL}`)
  return name
}

/** Merges layers of sampling settings; later ones win. Other keys of a layer are ignored. */
export function layered(...layers: readonly Partial<Sampling>[]): Partial<Sampling> {
  const all: Partial<Record<keyof Sampling, unknown>> = {}
  for (const name of samplingNames) for (const layer of layers) if (layer[name] !== undefined) all[name] = layer[name]
  return all as Partial<Sampling>
}

/** Merges layers in the same way, and fills in the defaults. */
export const sampling = (...layers: readonly Partial<Sampling>[]): Sampling =>
  ({ ...defaults, ...layered(...layers) }) as Sampling

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
        const value = args.length ? argument(numeric[name], args[0], name) : undefined
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
      const stop = argument(stops, [...args], 'stop')
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
