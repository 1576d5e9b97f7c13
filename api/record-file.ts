/**
 * Files of records such as `status`: one table says which records a file has, and which attributes each of them. Servers
 * write by it and programs read by it.
 */
import { fail } from '../fs/base/errors.js'
import { MAX_WHOLE } from '../fs/base/limits.js'
import { record } from '../fs/base/quote.js'
import * as field from './field.js'
import { type Bounds, fit, records } from './text.js'
import type { Attributes } from './written.js'

type Shapes = Readonly<Record<string, field.Shape>>

/**
 * The most that a program reads of one file of records: what it reads of any file as a whole (fs/base/limits.ts). The
 * `status` of ten thousand workers with a reason for each has some 10 MB.
 */
const MOST: Bounds = { characters: MAX_WHOLE, count: 1_000_000 }

/** The parsed file: its first record, and a list of the records of each further kind. */
export type Sheet<F extends Shapes, R extends Shapes> = { readonly [W in keyof F]: field.Shaped<F[W]> } & {
  readonly [W in keyof R]: readonly field.Shaped<R[W]>[]
}

/** A kind of file of records. */
export interface RecordFile<F extends Shapes, R extends Shapes> {
  /** The names of the attributes of each record. */
  readonly attributes: { readonly [W in keyof (F & R)]: readonly string[] }
  /** Formats a record as one line, without its newline. Attributes that are undefined are left out. */
  line<W extends keyof (F & R) & string>(word: W, attrs: Attributes<field.Shaped<(F & R)[W]>>): string
  /**
   * Reads a whole file for a program that shows or uses what a server says. It tolerates newer servers: unknown records
   * and attributes are skipped, an attribute that breaks its bounds counts as missing, and so does a record without an
   * attribute that it must have.
   * @throws FsError `bad message` for text that is not such a file, and for one that is too long
   */
  read(text: string): Sheet<F, R>
}

/**
 * @param name the file's name in messages
 * @param first the first record of the file
 * @param rest the records after it, any number of each
 */
export function recordFile<const F extends Shapes, const R extends Shapes>(
  name: string,
  first: F,
  rest: R,
): RecordFile<F, R> {
  const [[head, shape]] = Object.entries(first) as [[string, field.Shape]]
  const readFirst = field.lenient(shape)
  const readers = Object.entries(rest).map(([word, shape]) => [word, field.lenient(shape)] as const)
  const read = (text: string): Sheet<F, R> => {
    const [begin, ...others] = records(text, name, MOST)
    if (begin?.word !== head) throw new field.Unfit(name, `expected a ${head} record at the beginning`)
    const out: Record<string, unknown> = { [head]: readFirst(begin.attrs, head) }
    for (const [word, of] of readers)
      out[word] = others.flatMap(({ word: is, attrs }) => (is === word ? fit(of, attrs, word) : []))
    return out as Sheet<F, R>
  }
  const names = Object.entries({ ...first, ...rest }).map(([word, shape]) => [word, Object.keys(shape)])
  return {
    attributes: Object.fromEntries(names),
    line: (word, attrs) => record(word, attrs),
    read(text) {
      try {
        return read(text)
      } catch (error) {
        if (!(error instanceof field.Unfit)) throw error
        throw fail('badMessage', error.subject === name ? error.message : `${name}: ${error.message}`)
      }
    },
  }
}

/**
 * A record as it stands in a file, for people and other programs: its word as `record`, and all its attributes, also
 * those that this version does not know.
 */
export type Row = { readonly record: string } & Readonly<Record<string, string>>

/** Reads the rows of any file of records. @throws FsError `bad message` for a text that is too long, or not of records */
export function rows(text: string, name: string): Row[] {
  try {
    return records(text, name, MOST).map(({ word, attrs }) => ({ record: word, ...attrs }))
  } catch (error) {
    throw fail('badMessage', (error as Error).message)
  }
}
