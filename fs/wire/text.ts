/**
 * Messages as lines of text, in the manner of Plan 9's %F, and back:
 *
 *     Twalk tag 4 fid 1 newfid 2 wname [models qwen]
 *     Rread tag 4 data 'hello, world'
 *
 * A field is its name and its value. An integer of all ones (NOTAG, NOFID, "do not touch") is `~0`; modes are octal. A
 * string is quoted as rc(1) does where necessary, or as JSON does if it contains control characters. Bytes are a quoted
 * string if they are text, otherwise `0x…`. A qid is `(path version type)`, a stat its fields in parentheses. A field
 * that only some dialects carry is omitted when it has its default.
 */

import { quote } from '../base/quote.js'
import { type Field, statFields } from './field.js'
import { type Message, type MessageType, messages } from './message.js'
import type { Qid } from './protocol.js'

/** How the values of one type of field are printed and read. */
interface Kind<T> {
  print(value: T): string
  read(from: Reader): T
}

type Fields = Record<string, Field<any>>
const table = messages as Record<string, { fields: Fields }>

function integer(bits: number): Kind<number> {
  const most = 2 ** bits - 1
  return {
    print: v => (v === most ? '~0' : String(v)),
    read: from => Number(from.integer(BigInt(most))),
  }
}

const control = /\p{Cc}/u
/** Control characters that make data binary: all but tab, newline and carriage return. */
const notText = /(?![\t\n\r])\p{Cc}/u
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

const string = (v: string) => (control.test(v) ? JSON.stringify(v) : quote(v))

function quoted(v: string): string {
  return control.test(v) ? JSON.stringify(v) : `'${v.replaceAll("'", "''")}'`
}

function bytes(v: Uint8Array): string {
  try {
    const text = utf8.decode(v)
    if (!notText.test(text)) return quoted(text)
  } catch {
    // not text
  }
  return `0x${Array.from(v, b => b.toString(16).padStart(2, '0')).join('')}`
}

function list<T>(of: Kind<T>): Kind<T[]> {
  return {
    print: v => `[${v.map(of.print).join(' ')}]`,
    read(from) {
      const out: T[] = []
      from.expect('[')
      while (!from.accept(']')) out.push(of.read(from))
      return out
    },
  }
}

const u64Most = 0xffffffffffffffffn
const u64: Kind<bigint> = {
  print: v => (v === u64Most ? '~0' : String(v)),
  read: from => from.integer(u64Most),
}
const u8 = integer(8)
const u32 = integer(32)
const str: Kind<string> = { print: string, read: from => from.string() }
const qid: Kind<Qid> = {
  print: v => `(${u64.print(v.path)} ${u32.print(v.version)} 0x${v.type.toString(16)})`,
  read(from) {
    from.expect('(')
    const path = u64.read(from)
    const version = u32.read(from)
    const type = u8.read(from)
    from.expect(')')
    return { type, version, path }
  },
}

/** By Field.name. */
const kinds: Record<string, Kind<any>> = {
  u8,
  u16: integer(16),
  u32,
  u64,
  str,
  qid,
  'str[]': list(str),
  'qid[]': list(qid),
  data: { print: bytes, read: from => from.bytes() } satisfies Kind<Uint8Array>,
  stat: {
    print: v => `(${printFields(statFields, v)})`,
    read(from) {
      from.expect('(')
      const stat = readFields(from, statFields, 'stat', {})
      from.expect(')')
      return stat
    },
  },
}

/** Permissions, which people read in octal. */
const octal: Kind<number> = { ...u32, print: v => (v === 0xffffffff ? '~0' : `0o${v.toString(8)}`) }

function kindOf(name: string, field: Field<any>): Kind<any> {
  return field.name === 'u32' && (name === 'mode' || name === 'perm') ? octal : kinds[field.name]!
}

function printFields(fields: Fields, from: Record<string, any>): string {
  const out: string[] = []
  for (const name in fields) {
    const field = fields[name]!
    const value = from[name] ?? field.absent
    if ((field.only || field.optional) && value === field.absent) continue
    out.push(`${name} ${kindOf(name, field).print(value)}`)
  }
  return out.join(' ')
}

function readFields(from: Reader, fields: Fields, of: string, into: Record<string, any>): Record<string, any> {
  while (!from.atEnd()) {
    const { text: name, at } = from.word()
    const field = Object.hasOwn(fields, name) ? fields[name] : undefined
    if (!field) throw from.error(`${of} has no field ${quote(name)}`, at)
    if (Object.hasOwn(into, name)) throw from.error(`duplicate field ${name}`, at)
    into[name] = kindOf(name, field).read(from)
  }
  for (const name in fields) {
    const field = fields[name]!
    if (Object.hasOwn(into, name)) continue
    if (!field.only && !field.optional) throw from.error(`${of} needs ${name}`, from.here)
    into[name] = field.absent
  }
  return into
}

/** A message as one line, without a newline. */
export function text(m: Message): string {
  const tag = m.tag === 0xffff ? '~0' : m.tag
  const fields = printFields(table[m.type]!.fields, m)
  return `${m.type} tag ${tag}${fields && ' '}${fields}`
}

/**
 * Reads what `text` prints; fields may come in any order.
 * @throws SyntaxError with the column of the error
 */
export function parse(line: string): Message {
  const from = new Reader(line)
  const { text: type, at } = from.word()
  if (!Object.hasOwn(messages, type)) throw from.error(`unknown message ${quote(type)}`, at)
  const fields = { tag: { name: 'u16' } as Field<any>, ...table[type]!.fields }
  const m = readFields(from, fields, type, { type: type as MessageType })
  const { here } = from
  if (from.accept(')')) throw from.error('unexpected )', here)
  return m as Message
}

/** A word, a quoted string or a bracket, and its position. */
export interface Token {
  text: string
  /** `'` or `"` for a quoted string, the bracket itself, or empty for a plain word. */
  mark: '' | "'" | '"' | '[' | ']' | '(' | ')'
  at: number
}

const token = /\s*(?:([[\]()])|'((?:[^']|'')*)'|("(?:[^"\\]|\\.)*")|([^\s'"[\]()]+))/uy

/** The tokens of a line. @throws SyntaxError with the column of the error */
export function tokens(line: string): Token[] {
  const out: Token[] = []
  const end = line.trimEnd().length
  token.lastIndex = 0
  while (token.lastIndex < end) {
    const from = token.lastIndex
    const match = token.exec(line)
    const [, bracket, rc, json, word = ''] = match ?? []
    const at = from + line.slice(from).search(/\S/)
    const bad = (why: string) => new SyntaxError(`column ${at + 1}: ${why}`)
    if (!match) throw bad('a quote is not closed')
    if (bracket) out.push({ text: bracket, mark: bracket as Token['mark'], at })
    else if (rc !== undefined) out.push({ text: rc.replaceAll("''", "'"), mark: "'", at })
    else if (json) out.push({ text: fromJson(json, bad), mark: '"', at })
    else out.push({ text: word, mark: '', at })
  }
  return out
}

function fromJson(json: string, bad: (why: string) => Error): string {
  try {
    return JSON.parse(json) as string
  } catch {
    throw bad('not a JSON string')
  }
}

class Reader {
  #tokens: Token[]
  #at = 0

  constructor(readonly line: string) {
    this.#tokens = tokens(line)
  }

  /** The column of the next token, counted from 0. */
  get here(): number {
    return this.#tokens[this.#at]?.at ?? this.line.length
  }

  error(why: string, at: number): SyntaxError {
    return new SyntaxError(`column ${at + 1}: ${why}`)
  }

  #next(what: string): Token {
    const next = this.#tokens[this.#at]
    if (!next) throw this.error(`missing ${what}`, this.here)
    this.#at++
    return next
  }

  /** Whether the fields end here: at the end of the line or of the group. */
  atEnd(): boolean {
    const next = this.#tokens[this.#at]
    return !next || next.mark === ')'
  }

  accept(mark: Token['mark']): boolean {
    if (this.#tokens[this.#at]?.mark !== mark) return false
    this.#at++
    return true
  }

  expect(mark: Token['mark']): void {
    const { here } = this
    if (!this.accept(mark)) throw this.error(`missing ${mark}`, here)
  }

  word(): Token {
    const next = this.#next('word')
    if (next.mark !== '') throw this.error('expected a word', next.at)
    return next
  }

  integer(most: bigint): bigint {
    const { text, at } = this.word()
    if (text === '~0') return most
    if (!/^(\d+|0x[\da-f]+|0o[0-7]+)$/.test(text)) throw this.error(`not a number: ${quote(text)}`, at)
    const value = BigInt(text)
    if (value > most) throw this.error(`${text}: at most ${most}`, at)
    return value
  }

  string(): string {
    const next = this.#next('string')
    if (next.mark !== '' && next.mark !== "'" && next.mark !== '"') throw this.error('expected a string', next.at)
    return next.text
  }

  bytes(): Uint8Array {
    const { text, mark, at } = this.#next('data')
    if (mark === "'" || mark === '"') return new TextEncoder().encode(text)
    if (!/^0x([\da-f]{2})*$/.test(text)) throw this.error('expected a quoted string, or 0x and pairs of hex digits', at)
    return Uint8Array.from(text.slice(2).match(/../g) ?? [], pair => Number.parseInt(pair, 16))
  }
}
