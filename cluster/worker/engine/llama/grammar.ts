/** Converts a JSON schema to a GBNF grammar for llama.cpp. */
import { fail } from '../../../../api/errors.js'

/** Most rules of one schema. */
const MAX_RULES = 2000
/**
 * Most values of all `enum` of one schema together. At each token llama.cpp tries every value that is still possible
 * with every token of the vocabulary (measured with 5,000 values: two seconds in which the worker answers nothing).
 */
const MAX_VALUES = 2000
/** Most characters of the grammar: llama.cpp parses it in one go, in which the worker answers nothing. */
const MAX_GRAMMAR = 512 * 1024
/** Most levels of nested schemas. */
const MAX_DEPTH = 64
/** Largest bound of one repetition: llama.cpp expands a repetition, and refuses long ones. */
const MAX_TIMES = 1000
/** Most repetitions of one schema, all together, when expanded. */
const MAX_ALL_TIMES = 20_000

/** The rules of JSON itself, without line breaks: one optional space after `:` and `,`. */
const json: Readonly<Record<string, string>> = {
  value: 'object | array | string | number | boolean | null',
  object: '"{" (string ":" sp value ("," sp string ":" sp value)*)? "}"',
  array: '"[" (value ("," sp value)*)? "]"',
  string: '"\\"" char* "\\""',
  // A \u escape is never half a surrogate pair, so that the length of a string is what the schema counts: characters.
  // The set has the characters that exist in Unicode, and no others: a negated set would also take bytes that no
  // decoder reads as one character.
  char: String.raw`[\x20\x21\x23-\x5B\x5D-\x7E\x80-\uD7FF\uE000-\U0010FFFF] | "\\" (["\\bfnrt/] | "u" ([0-9a-cA-CefEF] hex | [dD] [0-7]) hex hex)`,
  hex: '[0-9a-fA-F]',
  number: 'integer ("." [0-9]{1,15})? ([eE] [-+]? [0-9]{1,2})?',
  integer: '"-"? ("0" | [1-9] [0-9]{0,14})',
  boolean: '"true" | "false"',
  null: '"null"',
  sp: '" "?',
}

/** Keywords that inform people and do not restrict values. */
const notes = [
  'title',
  'description',
  'default',
  'examples',
  '$schema',
  '$id',
  '$comment',
  'deprecated',
  'readOnly',
  'writeOnly',
]
/** Keywords that are allowed anywhere: those, and the ones where definitions are looked up. */
const everywhere = [...notes, '$defs', 'definitions']
/** The keywords of each type. A keyword that belongs to none of a schema's types is refused. */
const keywords: Readonly<Record<string, readonly string[]>> = {
  object: ['properties', 'required', 'additionalProperties'],
  array: ['items', 'prefixItems', 'minItems', 'maxItems'],
  string: ['minLength', 'maxLength'],
  number: [],
  integer: [],
  boolean: [],
  null: [],
}

type Schema = Readonly<Record<string, unknown>>

/**
 * Makes a GBNF grammar of JSON values that obey a schema. Every value that the grammar generates obeys it, but not
 * every value that obeys it can be generated: an object with `properties` gets no others, and keys come in the order of
 * the schema. node-llama-cpp's own converter ignores keywords that it does not know and makes every property required;
 * here a keyword that would not be obeyed is refused by name.
 * @throws FsError `bad argument: schema…: KEYWORD …`
 */
export function grammarOf(schema: unknown): string {
  const rules = new Map(Object.entries(json))
  /** The rule of each definition, which may be referenced before it is complete. */
  const defined = new Map<unknown, string>()
  let depth = 0
  let times = 0
  let choices = 0
  let size = 0

  const add = (body: string): string => {
    if (rules.size >= MAX_RULES) throw fail('badArgument', `schema: its grammar has over ${MAX_RULES} rules`)
    size += body.length
    if (size > MAX_GRAMMAR) throw fail('badArgument', `schema: its grammar has over ${MAX_GRAMMAR} characters`)
    const name = `r${rules.size}`
    rules.set(name, body)
    return name
  }
  const or = (bodies: readonly string[]) => (bodies.length === 1 ? bodies[0]! : add(bodies.join(' | ')))

  /** @returns the name of the rule that generates the values of `at` */
  function rule(at: unknown, path: string): string {
    if (++depth > MAX_DEPTH) throw fail('badArgument', `schema: nested over ${MAX_DEPTH} deep`)
    const name = body(at, path)
    depth--
    return name
  }

  function body(at: unknown, path: string): string {
    if (at === true) return 'value'
    if (typeof at !== 'object' || at === null || Array.isArray(at)) throw refuse(path, 'expected an object or true')
    const s = at as Schema
    const given = Object.keys(s).filter(key => !everywhere.includes(key) && s[key] !== undefined)
    const only = (...allowed: string[]) => {
      const other = given.find(key => !allowed.includes(key))
      if (other) throw refuse(path, `${other}: not supported${allowed.length > 0 ? ` beside ${allowed[0]}` : ''}`)
    }
    if ('$ref' in s) {
      only('$ref')
      return reference(s.$ref, path)
    }
    for (const key of ['anyOf', 'oneOf']) {
      if (!(key in s)) continue
      only(key)
      if (list(s[key], `${path}.${key}`).length === 0) throw refuse(path, `${key}: expected at least one schema`)
      return or(list(s[key], `${path}.${key}`).map((each, i) => rule(each, `${path}.${key}[${i}]`)))
    }
    if ('const' in s || 'enum' in s) {
      only('const' in s ? 'const' : 'enum', 'type')
      const types = s.type === undefined ? undefined : [s.type].flat()
      const listed = 'const' in s ? [s.const] : list(s.enum, `${path}.enum`)
      choices += listed.length
      if (choices > MAX_VALUES) throw fail('badArgument', `schema: enum: over ${MAX_VALUES} values in all`)
      const values = listed.filter(v => !types || types.some(t => isA(v, t)))
      if (values.length === 0) throw refuse(path, 'enum: no value has this type')
      return add(values.map(v => literal(JSON.stringify(v))).join(' | '))
    }
    const types = s.type === undefined ? (given.length === 0 ? ['value'] : inferred(given)) : [s.type].flat()
    const known = types.flatMap(t => keywords[t as string] ?? [])
    const unknown = given.find(key => key !== 'type' && !known.includes(key))
    if (unknown !== undefined) throw refuse(path, `${unknown}: not supported${hint[unknown] ?? ''}`)
    return or(types.map(t => typed(t, s, path)))
  }

  function typed(type: unknown, s: Schema, path: string): string {
    if (type === 'object') return object(s, path)
    if (type === 'array') return array(s, path)
    if (type === 'string') {
      const [min, max] = range(s, 'minLength', 'maxLength', path)
      return min === 0 && max === undefined ? 'string' : add(`"\\"" char{${min},${max ?? ''}} "\\""`)
    }
    if (typeof type !== 'string' || !(type in keywords || type === 'value'))
      throw refuse(path, `type: unknown type ${String(type)}`)
    return type
  }

  function object(s: Schema, path: string): string {
    if (s.properties === undefined) {
      if (list(s.required ?? [], `${path}.required`).length > 0)
        throw refuse(path, 'required: missing properties for these names')
      if (s.additionalProperties === false) return add('"{}"')
      const value = rule(s.additionalProperties ?? true, `${path}.additionalProperties`)
      return add(`"{" (string ":" sp ${value} ("," sp string ":" sp ${value})*)? "}"`)
    }
    if (typeof s.properties !== 'object' || s.properties === null) throw refuse(path, 'properties: expected an object')
    const required = list(s.required ?? [], `${path}.required`)
    const missing = required.find(name => !Object.hasOwn(s.properties as object, name as string))
    if (missing !== undefined) throw refuse(path, `required: ${JSON.stringify(missing)} is not in properties`)
    const pairs = Object.entries(s.properties).map(([name, value]) => ({
      text: `${literal(`${JSON.stringify(name)}:`)} sp ${rule(value, `${path}.${name}`)}`,
      required: required.includes(name),
    }))
    // what may follow from the i-th pair on, with and without a pair before it, built from the end
    let first = '""'
    let next = '""'
    for (const { text, required } of pairs.reverse()) {
      const more = add(`"," sp ${text} ${next}${required ? '' : ` | ${next}`}`)
      first = add(`${text} ${next}${required ? '' : ` | ${first}`}`)
      next = more
    }
    return add(`"{" ${first} "}"`)
  }

  function array(s: Schema, path: string): string {
    const [min, max] = range(s, 'minItems', 'maxItems', path)
    const fixed = list(s.prefixItems ?? [], `${path}.prefixItems`).map((each, i) =>
      rule(each, `${path}.prefixItems[${i}]`),
    )
    if (fixed.length > 0) {
      // items after the fixed ones are never needed unless minItems asks for them
      if (min > fixed.length || (max !== undefined && max < fixed.length))
        throw refuse(path, 'prefixItems: minItems and maxItems must allow exactly these items')
      return add(`"[" ${fixed.join(' "," sp ')} "]"`)
    }
    if (max === 0) return add('"[]"')
    const item = rule(s.items ?? true, `${path}.items`)
    const items = `${item} ("," sp ${item}){${Math.max(0, min - 1)},${max === undefined ? '' : max - 1}}`
    return add(min === 0 ? `"[" (${items})? "]"` : `"[" ${items} "]"`)
  }

  /** Reads the least and the greatest number of repetitions. */
  function range(s: Schema, least: string, most: string, path: string): [number, number | undefined] {
    const [min, max] = bounds(s, least, most, path)
    times += max ?? min
    if (times > MAX_ALL_TIMES) throw fail('badArgument', `schema: ${least}, ${most}: over ${MAX_ALL_TIMES} in all`)
    return [min, max]
  }

  function reference(ref: unknown, path: string): string {
    let at: unknown = schema
    const steps =
      ref === '#' ? [] : typeof ref === 'string' && ref.startsWith('#/') ? ref.slice(2).split('/') : undefined
    for (const step of steps ?? []) {
      const key = step.replaceAll('~1', '/').replaceAll('~0', '~')
      at = typeof at === 'object' && at !== null && Object.hasOwn(at, key) ? (at as Schema)[key] : undefined
    }
    if (!steps || at === undefined) throw refuse(path, `$ref: ${JSON.stringify(ref)} is not in this schema`)
    const made = defined.get(at)
    if (made !== undefined) return made
    // register the name before the rule is made, for definitions that contain themselves
    const name = add('')
    defined.set(at, name)
    const body = rule(at, String(ref))
    if (body === name) throw refuse(path, `$ref: ${JSON.stringify(ref)} refers only to itself`)
    rules.set(name, body)
    return name
  }

  rules.set('root', '')
  rules.set('root', rule(schema, 'schema'))
  return [...rules].map(([name, body]) => `${name} ::= ${body}`).join('\n')
}

const hint: Readonly<Record<string, string>> = {
  minimum: '; list the values in enum',
  maximum: '; list the values in enum',
  pattern: '; list the values in enum',
}

const refuse = (path: string, why: string) => fail('badArgument', `${path}: ${why}`)

function list(value: unknown, path: string): readonly unknown[] {
  if (!Array.isArray(value)) throw refuse(path, 'expected a list')
  return value
}

/** The types that a schema without `type` can have, given its keywords. */
function inferred(given: readonly string[]): string[] {
  return Object.keys(keywords).filter(type => keywords[type]!.some(keyword => given.includes(keyword)))
}

function bounds(s: Schema, least: string, most: string, path: string): [number, number | undefined] {
  const read = (key: string) => {
    const n = s[key]
    if (n === undefined) return undefined
    if (!Number.isInteger(n) || (n as number) < 0 || (n as number) > MAX_TIMES)
      throw refuse(path, `${key}: expected a whole number from 0 to ${MAX_TIMES}`)
    return n as number
  }
  const min = read(least) ?? 0
  const max = read(most)
  if (max !== undefined && max < min) throw refuse(path, `${most}: less than ${least}`)
  return [min, max]
}

function isA(value: unknown, type: unknown): boolean {
  if (type === 'integer') return Number.isInteger(value)
  if (type === 'array') return Array.isArray(value)
  if (type === 'null') return value === null
  if (type === 'object') return typeof value === 'object' && value !== null && !Array.isArray(value)
  return typeof value === type
}

const literal = (text: string) => `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
