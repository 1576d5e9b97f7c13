/**
 * The types of settings, of a server and of limbot alike: readers as in api/, whose refusals say in plain words what
 * they accept.
 */
import * as field from '../api/field.js'
import { parseSize } from './size.js'
import { didYouMean } from './suggest.js'

/** Reads a value from a file, a variable or the command line. @throws Unfit `NAME: expected …, not …` */
export type Kind<T> = field.Field<T>

/** The most characters of a word, a path or a command. */
const MAX_WORD = 4096
/** The most words of one list. */
const MAX_WORDS = 1000

/** A reader whose refusal says what it accepts. @param more what the refusal adds for the given value */
function kind<T>(of: field.Field<T>, takes: string, more: (value: unknown) => string = () => ''): Kind<T> {
  return (value, name) => {
    try {
      return of(value, name)
    } catch {
      throw new field.Unfit(name, `expected ${takes}, not ${field.shown(value)}${more(value)}`)
    }
  }
}

/** Printable text of 1 to `most` characters. */
export const text = (most = MAX_WORD): Kind<string> =>
  kind(field.matching(/^\P{Cc}+$/u, most, ''), `1 to ${most} printable characters`, value =>
    typeof value === 'number' || typeof value === 'boolean' ? '; put it in quotes' : '',
  )

/** Text of any characters, up to 1,048,576 of them. */
export const prose: Kind<string> = kind(field.text(1024 * 1024), 'text')

/** A name that a person gives, in any script. */
export const name: Kind<string> = kind(field.matching(/^[\p{L}\p{N}][\p{L}\p{N}._:/@-]{0,255}$/u, 256, ''), 'a name')

/** A number from `low` to `high`, both included, given as a number or as text. */
export const decimal = (low: number, high: number): Kind<number> =>
  kind(trimmed(field.number(low, high)), `a number from ${low} to ${high}`)

/** A whole number from `low` to `high`, both included, given as a number or as text. */
export const whole = (low: number, high: number): Kind<number> =>
  kind(trimmed(field.integer(low, high)), `a whole number from ${low} to ${high}`)

const trimmed =
  (of: field.Field<number>): field.Field<number> =>
  (value, name) =>
    of(typeof value === 'string' ? value.trim() : value, name)

export const oneOf = <const T extends string>(...words: readonly T[]): Kind<T> =>
  kind(field.oneOf(words), words.join(' or '), value => didYouMean(String(value).slice(0, 64), words))

/** `on`, `true` or `yes`; `off`, `false` or `no`. */
export const toggle: Kind<boolean> = kind((value, name) => {
  if (/^(on|true|yes)$/.test(String(value))) return true
  if (/^(off|false|no)$/.test(String(value))) return false
  throw new field.Unfit(name, '')
}, 'on or off')

const list: Kind<unknown[]> = kind(
  field.list(value => value, MAX_WORDS),
  `a list of up to ${MAX_WORDS} words`,
)

/** A list of words, each of which is `text()`. */
export const words: Kind<string[]> = (value, name) => list(value, name).map((word, i) => text()(word, `${name}[${i}]`))

export const url: Kind<string> = kind((value, name) => {
  const given = text()(value, name)
  if (!URL.canParse(given)) throw new field.Unfit(name, '')
  return given
}, 'a URL such as http://127.0.0.1:8080/v1')

/** A number of bytes, given as a number or as a text with a unit. */
export const size: Kind<number> = kind((value, name) => {
  const bytes = parseSize(value)
  if (bytes === undefined) throw new field.Unfit(name, '')
  return bytes
}, 'a number of bytes, or a number with KiB, MiB, GiB or TiB')

/** A map in which every key is one of `shape`; all keys are optional. */
export function only<const S extends Readonly<Record<string, Kind<any>>>>(shape: S): Kind<Partial<field.Shaped<S>>> {
  const some = kind(field.some, 'keys with values')
  return (value, name) => {
    const from = some(value, name) as Readonly<Record<string, unknown>>
    const unknown = Object.keys(from).find(key => !Object.hasOwn(shape, key))
    if (unknown !== undefined)
      throw new field.Unfit(`${name}.${field.plain(unknown, 64)}`, unknownKey(unknown, Object.keys(shape)))
    const read = Object.entries(from).map(([key, value]) => [key, shape[key]!(value, `${name}.${key}`)])
    return Object.fromEntries(read) as Partial<field.Shaped<S>>
  }
}

/**
 * A map whose keys people choose, with values of one kind.
 * @param key says what is wrong with a key; undefined where nothing is
 * @param most the most keys
 */
export function named<T>(
  key: (name: string) => string | undefined,
  of: Kind<T>,
  most: number,
): Kind<Record<string, T>> {
  const some = kind(field.some, 'keys with values')
  return (value, name) => {
    const from = Object.entries(some(value, name))
    if (from.length > most) throw new field.Unfit(name, `${from.length} keys, at most ${most}`)
    for (const [word] of from) {
      const why = key(word)
      if (why !== undefined) throw new field.Unfit(`${name}.${field.plain(word, 64)}`, why)
    }
    return Object.fromEntries(from.map(([word, value]) => [word, of(value, `${name}.${word}`)]))
  }
}

/** The refusal of an unknown key: it suggests a similar key, or else lists the known ones. */
export const unknownKey = (key: string, known: readonly string[]): string =>
  `unknown key${didYouMean(key.slice(0, 64), known) || `; keys: ${known.join(', ')}`}`
