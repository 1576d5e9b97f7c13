/**
 * Readers of single values from outside. A value from a peer, a file or a client is trusted only after one of these has
 * read it. Each checks length, characters, range or count, and returns a value of the right type or throws `Unfit`.
 */

import { fail } from '../fs/base/errors.js'

/** Reads one value. `name` is the name of the value in error messages. @throws Unfit */
export type Field<T> = (value: unknown, name: string) => T

/** The type that a Field returns. */
export type Of<F> = F extends Field<infer T> ? T : never

/** Thrown for a value from outside that breaks its bounds. The message is one line that is safe to print. */
export class Unfit extends Error {
  constructor(
    /** The name of the value. */
    readonly subject: string,
    why: string,
  ) {
    super(`${subject}: ${why}`)
    this.name = 'Unfit'
  }
}

/**
 * Characters that must not reach a terminal, a log or a listing unescaped: controls, lone surrogates, line separators,
 * bidirectional overrides.
 */
const harmful = /[\p{Cc}\p{Cs}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu
const blanks = /[\t\n\v\f\r\u0085\u2028\u2029]+/g

/** Most characters of a refused value that a message repeats. */
const SHOWN = 40

/** Makes a foreign text one harmless line of at most `most` characters. `…` replaces the part that was cut. */
export function plain(text: string, most: number): string {
  // one character beyond the limit shows whether something was cut; the rest is never looked at
  const head = text.slice(0, most + 1).replace(blanks, ' ')
  const line = head.replace(harmful, '\ufffd')
  return text.length > most ? `${line.slice(0, Math.max(0, most - 1))}…` : line
}

/** Formats a refused value for a message: short, quoted, harmless. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(plain(value, SHOWN))
  if (typeof value === 'number' || typeof value === 'boolean' || value === null || value === undefined)
    return String(value)
  return Array.isArray(value) ? 'a list' : `a value of type ${typeof value}`
}

/**
 * Reads a string of at most `most` characters that the pattern matches. `what` names the allowed characters in
 * messages.
 */
export function matching(pattern: RegExp, most: number, what: string): Field<string> {
  return (value, name) => {
    if (typeof value !== 'string') throw new Unfit(name, `expected a string, not ${shown(value)}`)
    if (value.length > most) throw new Unfit(name, `${value.length} characters, at most ${most}`)
    // the length is bounded here, so matching cannot take long
    if (!pattern.test(value)) throw new Unfit(name, `expected ${what}, not ${shown(value)}`)
    return value
  }
}

/**
 * A name that can stand in a directory and in a record: a host, a class, a worker. It has no `/`, no space and nothing
 * to quote.
 */
export const name = matching(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, 64, 'letters, digits, ".", "_" and "-" only')

/** A unique id: of a worker, a host, a cluster, or one start of these. */
export const id = matching(/^[A-Za-z0-9-]+$/, 64, 'letters, digits and "-" only')

/** The number of a task or a session, which is also its name in the tree. */
export const serial = matching(/^(?:0|[1-9][0-9]*)$/, 16, 'a number')

/** The digest of a content, behind the name of its algorithm: `sha256:…`. */
export const digest = matching(/^[a-z0-9]+:[A-Za-z0-9._-]+$/, 128, '"sha256:" and hex digits')

/** A 256-bit secret, or a proof made with one, in hex. */
export const secret = matching(/^[0-9a-f]{64}$/, 64, '64 hex digits')

/** A word of ASCII that needs no quotes: a version, a kind of processor. */
export const word = matching(/^[!#-&*-<>-~]+$/, 64, 'printable ASCII without spaces and quotes')

/** The name of a user: the names that an attach accepts (fs/wire/message.ts, checkName). */
export const user = matching(/^[^/\p{Cc}\p{Cs}]+$/u, 255, 'a name without "/" and control characters')

/** The name of a model: a file's name without its extension, or the name on a remote server, which may contain `/`. */
export const model = matching(
  /^[^\s.\p{Cc}\p{Cs}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069](?:[^\p{Cc}\p{Cs}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]*[^\s\p{Cc}\p{Cs}])?$/u,
  255,
  'printable characters that do not begin with a space or a dot',
)

/** Reads free text and makes it one harmless line, cut at `most` characters. It is never refused for its characters. */
export function line(most: number): Field<string> {
  return (value, name) => {
    if (typeof value !== 'string') throw new Unfit(name, `expected a string, not ${shown(value)}`)
    return plain(value, most)
  }
}

/** Reads text of any characters and keeps it unchanged: an answer, a prompt. */
export function text(most: number): Field<string> {
  return (value, name) => {
    if (typeof value !== 'string') throw new Unfit(name, `expected a string, not ${shown(value)}`)
    if (value.length > most) throw new Unfit(name, `${value.length} characters, at most ${most}`)
    return value
  }
}

const decimal = /^-?(?:0|[1-9]\d{0,15})(?:\.\d{1,20})?(?:[eE][+-]?\d{1,3})?$/

/** Reads a finite number of that range, given as a JSON number or as a record's text. */
export function number(least: number, most: number): Field<number> {
  return (value, name) => {
    const n = typeof value === 'string' && decimal.test(value.slice(0, 50)) ? Number(value) : value
    if (typeof n !== 'number' || !Number.isFinite(n)) throw new Unfit(name, `expected a number, not ${shown(value)}`)
    if (n < least || n > most) throw new Unfit(name, `expected a number from ${least} to ${most}, not ${shown(value)}`)
    return n
  }
}

/** Reads a whole number of that range. */
export function integer(least: number, most: number): Field<number> {
  const any = number(least, most)
  return (value, name) => {
    const n = any(value, name)
    if (!Number.isSafeInteger(n)) throw new Unfit(name, `expected a whole number, not ${shown(value)}`)
    return n
  }
}

/**
 * Reads a number as JSON has it, or as a person types it into a command: `.5`, `1e3`.
 * @param whole whether it must be a whole number
 */
export function typed(least: number, most: number, whole: boolean): Field<number> {
  const kind = whole ? 'whole number' : 'number'
  return (value, name) => {
    const n = typeof value === 'string' && value.trim() !== '' ? Number(value) : value
    if (typeof n !== 'number' || !Number.isFinite(n) || n < least || n > most || (whole && !Number.isInteger(n)))
      throw new Unfit(name, `expected a ${kind} from ${least} to ${most}, not ${shown(value)}`)
    return n
  }
}

/** Reads one of a set of values, mostly words. */
export function oneOf<const T extends string | boolean>(words: readonly T[]): Field<T> {
  return (value, name) => {
    const found = words.find(word => word === value)
    if (found === undefined) throw new Unfit(name, `expected one of ${words.join(' ')}, not ${shown(value)}`)
    return found
  }
}

/** Reads JSON's true and false, or a record's `yes` and `no`. */
export const flag: Field<boolean> = (value, name) => {
  if (value === true || value === 'yes') return true
  if (value === false || value === 'no') return false
  throw new Unfit(name, `expected yes or no, not ${shown(value)}`)
}

/** Reads any JSON object, without looking at its members. */
export const some: Field<object> = (value, name) => {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Unfit(name, `expected an object, not ${shown(value)}`)
  return value
}

/** Reads a list of at most `most` items. */
export function list<T>(of: Field<T>, most: number): Field<T[]> {
  return (value, name) => {
    if (!Array.isArray(value)) throw new Unfit(name, `expected a list, not ${shown(value)}`)
    if (value.length > most) throw new Unfit(name, `${value.length} items, at most ${most}`)
    return value.map((item, i) => of(item, `${name}[${i}]`))
  }
}

/** Reads a list from one text of items separated by commas: `a,b`. An empty text is an empty list. */
export function commas<T>(of: Field<T>, most: number, characters: number): Field<T[]> {
  const items = list(of, most)
  return (value, name) => {
    if (typeof value !== 'string') throw new Unfit(name, `expected a string, not ${shown(value)}`)
    if (value.length > characters) throw new Unfit(name, `${value.length} characters, at most ${characters}`)
    return items(value === '' ? [] : value.split(','), name)
  }
}

/** Reads a value that may be missing, or empty in a record; it is `absent` then. */
export function optional<T, A>(of: Field<T>, absent: A): Field<T | A> {
  return (value, name) => (value === undefined || value === null || value === '' ? absent : of(value, name))
}

/** Reads a value that may be missing, or null in JSON; it is undefined then. Unlike `optional` it keeps an empty text. */
export function given<T>(of: Field<T>): Field<T | undefined> {
  return (value, name) => (value === undefined || value === null ? undefined : of(value, name))
}

/** Reads a value whose parts have names of their own: an error within it begins with the value's name. */
export function inside<T>(of: Field<T>): Field<T> {
  return (value, name) => {
    try {
      return of(value, name)
    } catch (error) {
      throw error instanceof Unfit && error.subject !== name ? new Unfit(name, error.message) : error
    }
  }
}

/** Reads what a user writes into a file. @throws FsError `bad argument` that names the value and what it may be */
export function argument<T>(of: Field<T>, value: unknown, name: string): T {
  try {
    return of(value, name)
  } catch (error) {
    throw error instanceof Unfit ? fail('badArgument', error.message) : error
  }
}

/** The fields of an object, by name. */
export type Shape = Readonly<Record<string, Field<any>>>
/** The fields of a shape that may be undefined. */
type Missing<S extends Shape> = { [K in keyof S]: undefined extends Of<S[K]> ? K : never }[keyof S]
/** The object that a shape gives. */
export type Shaped<S extends Shape> = { readonly [K in Exclude<keyof S, Missing<S>>]: Of<S[K]> } & {
  readonly [K in Missing<S>]?: Exclude<Of<S[K]>, undefined>
}

/** Reads the fields of a shape, each with `read`. */
function fields<S extends Shape>(
  shape: S,
  read: (field: Field<unknown>, value: unknown, key: string) => unknown,
): Field<Shaped<S>> {
  const all = Object.entries(shape)
  return (value, name) => {
    const from = some(value, name) as Record<string, unknown>
    const out: Record<string, unknown> = {}
    for (const [key, field] of all) {
      const got = read(field, Object.hasOwn(from, key) ? from[key] : undefined, key)
      if (got !== undefined) out[key] = got
    }
    return out as Shaped<S>
  }
}

/**
 * Reads an object with these fields. Unknown fields are dropped, since a newer peer may send more. So are fields that
 * are undefined.
 */
export const object = <const S extends Shape>(shape: S): Field<Shaped<S>> =>
  fields(shape, (field, value, key) => field(value, key))

/**
 * Reads an object in the same way, but a field that breaks its bounds counts as missing. It is for programs that show
 * what a server says: a newer server, or one odd value, must not hide everything else.
 * @throws Unfit only if a field that must be there is missing
 */
export const lenient = <const S extends Shape>(shape: S): Field<Shaped<S>> =>
  fields(shape, (field, value, key) => {
    try {
      return field(value, key)
    } catch (error) {
      try {
        return field(undefined, key)
      } catch {
        throw error
      }
    }
  })

/** Reads an object that has these fields and no others. */
export function exact<const S extends Shape>(shape: S): Field<Shaped<S>> {
  const known = Object.keys(shape)
  const read = object(shape)
  return (value, name) => {
    const unknown = Object.keys(some(value, name)).find(key => !known.includes(key))
    if (unknown !== undefined) throw new Unfit(name, `unknown key ${shown(unknown)}; keys: ${known.join(' ')}`)
    return read(value, name)
  }
}
