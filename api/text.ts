/** Whole texts from outside, as records, JSON or lines: bounded before anything looks into them. */
import { parseRecords } from '../fs/quote.js'
import { shown, Unfit } from './field.js'

export interface Bounds {
  /** Most characters of the whole text. */
  readonly characters: number
  /** Most records, or values of one JSON text. */
  readonly count: number
}

/** ndb records of at most that size and number. @throws Unfit */
export function records(text: string, name: string, most: Bounds): ReturnType<typeof parseRecords> {
  if (text.length > most.characters) throw new Unfit(name, `${text.length} characters, at most ${most.characters}`)
  let lines = 1
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) lines++
  // a last line that is ended, or one that is empty, is no record: one more is let through
  if (lines > most.count + 1) throw new Unfit(name, `${lines} lines, at most ${most.count}`)
  try {
    return parseRecords(text)
  } catch (error) {
    throw new Unfit(name, (error as Error).message)
  }
}

/** Lists and objects in each other: more than any format of ours has, and few enough for a reader that calls itself. */
const MAX_DEPTH = 64

/** One JSON value of at most that many characters and that depth. @throws Unfit */
export function json(text: string, name: string, characters: number, depth = MAX_DEPTH): unknown {
  if (text.length > characters) throw new Unfit(name, `${text.length} characters, at most ${characters}`)
  if (deeper(text, depth)) throw new Unfit(name, `lists and objects over ${depth} deep`)
  try {
    return JSON.parse(text)
  } catch {
    // the parser's own message repeats the text
    throw new Unfit(name, `no JSON: ${shown(text)}`)
  }
}

/** Whether brackets outside strings stand in each other over that many deep. Looks at each character once. */
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

/** Cuts a stream of bytes into lines of UTF-8, and holds no more than one line of at most that many characters. */
export class Lines {
  readonly #decoder = new TextDecoder('utf-8', { fatal: true })
  #rest = ''

  constructor(
    readonly name: string,
    readonly most: number,
  ) {}

  /** @returns the lines that are whole by now, without their ends @throws Unfit for a longer one, and for what is not UTF-8 */
  take(piece: Uint8Array): string[] {
    const text = this.#decode(piece)
    // what only makes a begun line longer is not looked through again: a line may come byte by byte
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
