/** Parses whole texts from outside, as records, JSON or lines, and bounds them before anything looks into them. */
import { fail } from '../fs/base/errors.js'
import { parseRecords } from '../fs/base/quote.js'
import { type Field, shown, Unfit } from './field.js'

/** The bounds of a text that is a list of records. */
export interface Bounds {
  /** Most characters of the whole text. */
  readonly characters: number
  /** Most records, or most values of one JSON text. */
  readonly count: number
}

/** A record: its first word, '' if that is an attribute, and its attributes. */
export type NdbRecord = ReturnType<typeof parseRecords>[number]

/** Parses ndb records within those bounds. @throws Unfit */
export function records(text: string, name: string, most: Bounds): NdbRecord[] {
  if (text.length > most.characters) throw new Unfit(name, `${text.length} characters, at most ${most.characters}`)
  let lines = 1
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) lines++
  // the newline at the end of the last record starts an empty line, which is not a record: allow one more
  if (lines > most.count + 1) throw new Unfit(name, `${lines} lines, at most ${most.count}`)
  try {
    return parseRecords(text)
  } catch (error) {
    throw new Unfit(name, (error as Error).message)
  }
}

/** The record in a list; an empty list if it breaks its bounds. */
export function fit<T>(of: Field<T>, attrs: object, name: string): T[] {
  try {
    return [of(attrs, name)]
  } catch {
    return []
  }
}

/** Most levels of nested lists and objects: more than any format of ours has, and few enough for a recursive reader. */
const MAX_DEPTH = 64

/** Parses one JSON value of at most that many characters and levels. @throws Unfit */
export function json(text: string, name: string, characters: number, depth = MAX_DEPTH): unknown {
  if (text.length > characters) throw new Unfit(name, `${text.length} characters, at most ${characters}`)
  if (deeper(text, depth)) throw new Unfit(name, `lists and objects are nested over ${depth} deep`)
  try {
    return JSON.parse(text)
  } catch {
    // the parser's own message would repeat the text
    throw new Unfit(name, `not JSON: ${shown(text)}`)
  }
}

/**
 * Parses JSON that a user writes into a file. Its bound in characters is that of the file.
 * @throws FsError `bad argument` with the parser's own message, which says where the text is wrong
 */
export function jsonArgument(text: string, name: string, depth: number): unknown {
  if (deeper(text, depth)) throw fail('badArgument', `${name}: lists and objects are nested over ${depth} deep`)
  try {
    return JSON.parse(text)
  } catch (error) {
    throw fail('badArgument', `${name}: not JSON: ${(error as Error).message}`)
  }
}

/** Returns whether brackets outside strings nest deeper than `most` levels. Reads each character once. */
export function deeper(text: string, most: number): boolean {
  let depth = 0
  for (let at = 0; at < text.length; at++) {
    const c = text.charCodeAt(at)
    if (c === 0x22) {
      for (at++; at < text.length && text.charCodeAt(at) !== 0x22; at++) if (text.charCodeAt(at) === 0x5c) at++
    } else if (c === 0x5b || c === 0x7b) {
      if (++depth > most) return true
    } else if (c === 0x5d || c === 0x7d) depth--
  }
  return false
}

/** Cuts a stream of bytes into lines of UTF-8. Buffers at most one line, of at most `most` characters. */
export class Lines {
  readonly #decoder = new TextDecoder('utf-8', { fatal: true })
  #rest = ''

  constructor(
    readonly name: string,
    readonly most: number,
  ) {}

  /**
   * Takes the next piece of the stream.
   * @returns the lines that are complete now, without newlines
   * @throws Unfit for a longer line, and for bytes that are not UTF-8
   */
  take(piece: Uint8Array): string[] {
    const text = this.#decode(piece)
    // a piece without a newline only extends the unfinished line, which is not scanned again: a line may come byte by
    // byte
    const lines = text.includes('\n') ? (this.#rest + text).split('\n') : [this.#rest + text]
    this.#rest = lines.pop()!
    for (const line of [...lines, this.#rest])
      if (line.length > this.most) throw new Unfit(this.name, `a line over ${this.most} characters`)
    return lines
  }

  #decode(piece: Uint8Array): string {
    try {
      return this.#decoder.decode(piece, { stream: true })
    } catch {
      throw new Unfit(this.name, 'not UTF-8')
    }
  }
}
