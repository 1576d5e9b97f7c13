/**
 * The settings of a generation, in one table. A ctl, a `generate` request, a configuration and a saved session use the
 * same names.
 */
import * as field from './field.js'

/** The numeric settings: their ranges, whether they are whole numbers, and what counts where nobody sets them. */
export const ranges = {
  /** 0 is greedy. */
  temperature: { low: 0, high: 5, whole: false, initial: 0.7 },
  top_p: { low: 0, high: 1, whole: false, initial: 0.95 },
  /** 0 keeps all tokens. */
  top_k: { low: 0, high: 100_000, whole: true, initial: 40 },
  min_p: { low: 0, high: 1, whole: false, initial: 0 },
  /** A random one for each answer unless it is set. */
  seed: { low: 0, high: 0xffffffff, whole: true, initial: undefined },
  max_tokens: { low: 1, high: 1_048_576, whole: true, initial: 1024 },
} as const

export type Numeric = keyof typeof ranges

/** The names of all settings. */
export const samplingNames = [...(Object.keys(ranges) as Numeric[]), 'stop' as const]

/** Most stop strings of one generation, and most characters of each. */
const MAX_STOPS = 16
const MAX_STOP = 256

/** How the next token is chosen. */
export interface Sampling extends Readonly<Record<Exclude<Numeric, 'seed'>, number>> {
  readonly seed: number | undefined
  readonly stop: readonly string[]
}

const each = <T>(of: (name: Numeric) => T) =>
  Object.fromEntries((Object.keys(ranges) as Numeric[]).map(name => [name, of(name)])) as Record<Numeric, T>

/** The settings of a generation whose request does not say otherwise. */
export const defaults = { ...each(name => ranges[name].initial), stop: [] as readonly string[] } as Sampling

/** Reads the value of each numeric setting, as JSON has it or a person types it. */
export const numeric: Readonly<Record<Numeric, field.Field<number>>> = each(name =>
  field.typed(ranges[name].low, ranges[name].high, ranges[name].whole),
)

/** Reads stop strings, each of at least 1 character, or one of them. */
export const stops: field.Field<string[]> = (value, name) => {
  const list = typeof value === 'string' ? [value] : value
  if (!Array.isArray(list) || list.length > MAX_STOPS)
    throw new field.Unfit(name, `expected up to ${MAX_STOPS} strings`)
  for (const item of list)
    if (typeof item !== 'string' || item === '' || item.length > MAX_STOP)
      throw new field.Unfit(name, `expected strings of 1 to ${MAX_STOP} characters`)
  return list
}

/** The settings that a saved session has; the others are absent. */
export const sampling = field.object({
  ...each(name =>
    field.optional((ranges[name].whole ? field.integer : field.number)(ranges[name].low, ranges[name].high), undefined),
  ),
  stop: field.optional(field.list(field.text(MAX_STOP), MAX_STOPS), undefined),
})
