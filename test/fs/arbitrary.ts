/** Generators of arbitrary 9P messages for property tests. */
import fc from 'fast-check'
import { type Field, statFields } from '../../fs/wire/field.js'
import { inDialect, type Message, type MessageType, messages } from '../../fs/wire/message.js'
import type { Dialect } from '../../fs/wire/protocol.js'

export const dialects: readonly Dialect[] = ['9P2000', '9P2000.u', '9P2000.L']

/** Integers of a width: any, and the extremes, where mistakes are likely. */
const integer = (bits: number) =>
  fc.oneof({ weight: 3, arbitrary: fc.nat(2 ** bits - 1) }, fc.constantFrom(0, 1, 2 ** bits - 1))
const u64 = fc.oneof(fc.bigInt(0n, 2n ** 64n - 1n), fc.constantFrom(0n, 2n ** 64n - 1n, 2n ** 63n - 1n))

/** Strings on the wire: any Unicode except NUL and lone surrogates, and those that are special in the text form. */
const str = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }).map(s => s.replaceAll('\0', '')),
  fc.constantFrom(
    '',
    '.',
    '..',
    '~0',
    "it's",
    '"',
    '\\',
    'a b',
    '[x]',
    '(',
    ')',
    '*',
    '...',
    '0x00',
    '\n',
    '\u2028',
    '\ufeff',
    '\x7f',
  ),
)
const data = fc.oneof(
  fc.uint8Array({ maxLength: 200 }),
  str.map(s => new TextEncoder().encode(s)),
  // around the size from which payloads are sent as a separate part
  fc.constantFrom(4095, 4096, 5000).map(n => new Uint8Array(n).fill(97)),
)
const qid = fc.record({ type: integer(8), version: integer(32), path: u64 }, { noNullPrototype: true })

/** By Field.name, as in text.ts. */
const kinds: Record<string, fc.Arbitrary<any>> = {
  u8: integer(8),
  u16: integer(16),
  u32: integer(32),
  u64,
  str,
  data,
  qid,
  'str[]': fc.array(str, { maxLength: 16 }),
  'qid[]': fc.array(qid, { maxLength: 16 }),
}

/** A field that the dialect does not carry has the value with which it is unpacked. */
function fieldsOf(fields: Record<string, Field<any>>, dialect: Dialect): Record<string, fc.Arbitrary<any>> {
  const out: Record<string, fc.Arbitrary<any>> = {}
  for (const [name, field] of Object.entries(fields)) {
    if (field.only && !field.only.includes(dialect)) out[name] = fc.constant(field.absent)
    else if (field.name === 'stat') out[name] = fc.record(fieldsOf(statFields, dialect), { noNullPrototype: true })
    else out[name] = kinds[field.name]!
  }
  return out
}

/** Any message of one type, as it is unpacked. */
export function message(type: MessageType, dialect: Dialect): fc.Arbitrary<Message> {
  const fields = fieldsOf(messages[type].fields, dialect)
  return fc.record(
    { type: fc.constant(type), tag: integer(16), ...fields },
    { noNullPrototype: true },
  ) as fc.Arbitrary<any>
}

/** The message types of a dialect. */
export const typesOf = (dialect: Dialect): MessageType[] =>
  (Object.keys(messages) as MessageType[]).filter(type => inDialect(type, dialect))

/** Any message of a dialect. */
export const anyMessage = (dialect: Dialect): fc.Arbitrary<Message> =>
  fc.oneof(...typesOf(dialect).map(type => message(type, dialect)))
