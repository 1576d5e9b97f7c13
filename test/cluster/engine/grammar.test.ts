/** Tests of the grammars made from JSON schemas. */
import t from 'tap'
import { grammarOf } from '../../../cluster/worker/engine/llama/grammar.js'
import { createLlamaEngine } from '../../../cluster/worker/engine/llama.js'
import { collect, request } from './common.js'

/**
 * Whether a value obeys a schema: each keyword implemented again, from the specification rather than from the grammar.
 */
function obeys(value: any, schema: any, root: any = schema): boolean {
  if (schema === true) return true
  if (schema.$ref !== undefined) {
    const at = schema.$ref
      .split('/')
      .slice(1)
      .reduce((s: any, key: string) => s[key], root)
    return obeys(value, at, root)
  }
  const is = (type: string) =>
    type === 'integer'
      ? Number.isInteger(value)
      : type === 'null'
        ? value === null
        : type === 'array'
          ? Array.isArray(value)
          : type === 'object'
            ? typeof value === 'object' && value !== null && !Array.isArray(value)
            : typeof value === type
  if (schema.type !== undefined && ![schema.type].flat().some(is)) return false
  if (schema.anyOf && !schema.anyOf.some((each: any) => obeys(value, each, root))) return false
  const same = (other: unknown) => JSON.stringify(other) === JSON.stringify(value)
  if (schema.enum && !schema.enum.some(same)) return false
  if (schema.const !== undefined && !same(schema.const)) return false
  if (typeof value === 'string') {
    const length = [...value].length
    return length >= (schema.minLength ?? 0) && length <= (schema.maxLength ?? Number.POSITIVE_INFINITY)
  }
  if (Array.isArray(value)) {
    if (value.length < (schema.minItems ?? 0) || value.length > (schema.maxItems ?? Number.POSITIVE_INFINITY))
      return false
    return value.every((each, i) => obeys(each, schema.prefixItems?.[i] ?? schema.items ?? true, root))
  }
  if (typeof value === 'object' && value !== null) {
    if (!(schema.required ?? []).every((name: string) => Object.hasOwn(value, name))) return false
    return Object.entries(value).every(([name, each]) => {
      const own = schema.properties && Object.hasOwn(schema.properties, name) ? schema.properties[name] : undefined
      if (own === undefined && schema.additionalProperties === false) return false
      return obeys(each, own ?? schema.additionalProperties ?? true, root)
    })
  }
  return true
}

const tree = {
  $ref: '#/$defs/node',
  $defs: {
    node: {
      type: 'object',
      properties: {
        name: { enum: ['a', 'b'] },
        below: { type: 'array', items: { $ref: '#/$defs/node' }, maxItems: 1 },
      },
      required: ['name'],
      additionalProperties: false,
    },
  },
}

const schemas: Record<string, unknown> = {
  string: { type: 'string', minLength: 2, maxLength: 6 },
  integer: { type: 'integer' },
  number: { type: 'number', description: 'any' },
  'one of several types': { type: ['integer', 'boolean', 'null', 'string'], maxLength: 5 },
  enum: { enum: ['say "hi"\n', 'back\\slash', 'grün 😀', 7, null, { a: [1] }] },
  'enum of one type': { type: 'string', enum: ['a', 1, 'b'] },
  const: { const: { x: [1, 'y'] } },
  array: { type: 'array', items: { type: 'boolean' }, minItems: 2, maxItems: 4 },
  'empty array': { type: 'array', maxItems: 0 },
  tuple: { type: 'array', prefixItems: [{ type: 'boolean' }, { enum: ['x'] }] },
  'object with optional keys': {
    type: 'object',
    properties: { a: { enum: [1] }, 'b "q"': { enum: [2] }, c: { enum: [3] }, d: { enum: [4] } },
    required: ['c'],
    additionalProperties: false,
  },
  'object of numbers': { type: 'object', additionalProperties: { type: 'integer' } },
  'only the empty object': { type: 'object', additionalProperties: false },
  'any of': { anyOf: [{ type: 'boolean' }, { type: 'object', properties: { x: { type: 'null' } }, required: ['x'] }] },
  recursive: tree,
  'by its keywords': { properties: { a: { type: 'boolean' } }, required: ['a'] },
}

t.test('values that a model draws at random under a schema always obey it', async t => {
  const engine = await createLlamaEngine({ path: 'models/llambo-tiny.gguf', slots: 8, threads: 1, gpu: false })
  t.teardown(() => engine.close())
  for (const [name, schema] of Object.entries(schemas)) {
    const texts = new Set<string>()
    let whole = 0
    await Promise.all(
      Array.from({ length: 8 }, async (_, seed) => {
        // a high temperature draws almost evenly from what the grammar allows
        const sampling = { temperature: seed === 0 ? 0 : 5, seed, max_tokens: 150 }
        const out = await collect(engine, request({ messages: [{ role: 'user', content: 'hi' }], schema, ...sampling }))
        texts.add(out.text)
        if (out.reason === 'length') return
        whole++
        if (!obeys(JSON.parse(out.text), schema)) t.fail(`${name}: ${out.text}`)
      }),
    )
    t.ok(
      whole >= 2,
      `${name}: ${whole} of 8 came to an end, ${texts.size} different, as ${[...texts][0]!.slice(0, 40)}`,
    )
  }
})

t.test('a definition that begins with itself is refused by llama.cpp, and the process survives', async t => {
  const engine = await createLlamaEngine({ path: 'models/llambo-tiny.gguf', slots: 1, threads: 1, gpu: false })
  t.teardown(() => engine.close())
  const schema = { $ref: '#/$defs/a', $defs: { a: { anyOf: [{ $ref: '#/$defs/a' }, { type: 'null' }] } } }
  await t.rejects(collect(engine, request({ prompt: 'a', schema })), { message: /^bad argument: schema: / })
  t.equal((await collect(engine, request({ prompt: 'a', schema: { type: 'null' } }))).text, 'null')
})

t.test('true and {} allow any JSON', async t => {
  for (const schema of [true, {}, { title: 'x' }]) t.match(grammarOf(schema), /^root ::= value$/m)
})

t.test('an unsupported schema is refused with the place and the keyword', async t => {
  const refused: [unknown, string][] = [
    [{ type: 'string', pattern: '^a' }, 'schema: pattern: not supported; list the values in enum'],
    [{ type: 'integer', minimum: 1 }, 'schema: minimum: not supported; list the values in enum'],
    [{ type: 'string', format: 'date' }, 'schema: format: not supported'],
    [{ properties: { a: { type: 'array', uniqueItems: true } } }, 'schema.a: uniqueItems: not supported'],
    [{ items: { allOf: [] } }, 'schema.items: allOf: not supported'],
    [{ anyOf: [{}], type: 'string' }, 'schema: type: not supported beside anyOf'],
    [{ type: 'text' }, 'schema: type: unknown type text'],
    [{ type: 'string', minLength: 5, maxLength: 4 }, 'schema: maxLength: less than minLength'],
    [{ type: 'array', maxItems: 5000 }, 'schema: maxItems: expected a whole number from 0 to 1000'],
    [{ type: 'object', properties: {}, required: ['a'] }, 'schema: required: "a" is not in properties'],
    [{ $ref: '#/$defs/x' }, 'schema: $ref: "#/$defs/x" is not in this schema'],
    [{ $ref: 'http://x/y' }, 'schema: $ref: "http://x/y" is not in this schema'],
    [{ $ref: '#' }, 'schema: $ref: "#" refers only to itself'],
    [{ enum: [] }, 'schema: enum: no value has this type'],
    [{ anyOf: [] }, 'schema: anyOf: expected at least one schema'],
    [false, 'schema: expected an object or true'],
    ['x', 'schema: expected an object or true'],
    [null, 'schema: expected an object or true'],
  ]
  for (const [schema, why] of refused) {
    t.throws(() => grammarOf(schema), { message: `bad argument: ${why}` }, JSON.stringify(schema))
  }
  let deep: unknown = { type: 'null' }
  for (let i = 0; i < 3000; i++) deep = { type: 'array', items: deep }
  t.throws(() => grammarOf(deep), { message: 'bad argument: schema: nested over 64 deep' })
  const properties = Object.fromEntries(
    Array.from({ length: 30 }, (_, i) => [`p${i}`, { type: 'string', maxLength: 1000 }]),
  )
  t.throws(() => grammarOf({ properties }), { message: /^bad argument: schema: minLength, maxLength: over 20000/ })
})
