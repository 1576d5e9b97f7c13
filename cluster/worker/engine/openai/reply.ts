/**
 * Parses what an upstream sends, within bounds: the chunks of a stream, errors, and the list of models, in the forms
 * that real servers use.
 */
import { type Field, integer, list, model, object, optional, plain, Unfit } from '../../../../api/field.js'
import { MAX_CALL_NAME, MAX_CHOICES, MAX_EVENT, MAX_MODELS, MAX_PARTS, MAX_REPLY, MAX_SAID } from './limits.js'

const string =
  (most: number): Field<string> =>
  (value, name) => {
    if (typeof value !== 'string' || value.length > most)
      throw new Unfit(name, `expected a string of at most ${most} characters`)
    return value
  }
const short = optional(string(MAX_CALL_NAME), '')

/** A text, or a list of parts that contain text. */
const content: Field<string> = (value, name) => {
  if (!Array.isArray(value)) return string(MAX_REPLY)(value, name)
  return list(object({ text: optional(string(MAX_REPLY), '') }), MAX_PARTS)(value, name)
    .map(part => part.text)
    .join('')
}
const text = optional(content, '')

/**
 * Reasoning has a different name at each server, and the standard has none. A value that is not a string is ignored.
 */
const thought: Field<string> = value => (typeof value === 'string' ? value : '')

/** Arguments come as the JSON text of an object, or as the object itself. */
const argumentsText: Field<string> = (value, name) =>
  typeof value === 'object' && value !== null ? JSON.stringify(value) : string(MAX_EVENT)(value, name)

/** A count, as a number or as text. An invalid one is treated as absent. */
const count: Field<number | undefined> = value => {
  const n = typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value
  return typeof n === 'number' && Number.isSafeInteger(n) && n >= 0 ? n : undefined
}

/** A part of a tool call. */
const call = object({
  index: optional(integer(0, 1_000_000), undefined),
  id: short,
  function: optional(object({ name: short, arguments: optional(argumentsText, '') }), undefined),
})

const delta = object({
  content: text,
  reasoning_content: thought,
  reasoning: thought,
  refusal: text,
  tool_calls: optional(list(call, MAX_CHOICES * 8), []),
})

const choice = object({
  index: optional(integer(0, 1_000_000), 0),
  text,
  delta: optional(delta, undefined),
  message: optional(delta, undefined),
  finish_reason: short,
})

const chunk = object({
  choices: optional(list(choice, MAX_CHOICES), []),
  usage: optional(object({ prompt_tokens: count, completion_tokens: count }), undefined),
})

export type CallPart = ReturnType<typeof call>

/** The fields in use of a chunk of a stream, or of a whole reply. */
export interface Chunk {
  readonly text: string
  readonly reasoning: string
  readonly calls: readonly CallPart[]
  /** Empty until the answer has ended. */
  readonly finish: string
  readonly usage:
    | { readonly prompt_tokens?: number | undefined; readonly completion_tokens?: number | undefined }
    | undefined
}

/** Reads a chunk of a stream. @throws Unfit if a field has the wrong type or breaks a bound */
export function readChunk(json: unknown): Chunk {
  const { choices, usage } = chunk(json, 'event')
  // choices other than the first were not requested, and would be mixed into it
  const first = choices.find(({ index }) => index === 0)
  const said = first?.delta ?? first?.message
  return {
    // text that is passed on must not contain NUL
    text: ((said?.content ?? '') + (said?.refusal ?? '') + (first?.text ?? '')).replaceAll('\0', '\ufffd'),
    reasoning: said?.reasoning_content || said?.reasoning || '',
    calls: said?.tool_calls ?? [],
    finish: first?.finish_reason ?? '',
    usage,
  }
}

/** The content of a server's error. */
export interface Said {
  readonly message: string
  /** The HTTP status that the body names, if it does. */
  readonly status: number | undefined
  /** The parameter that the server does not accept. */
  readonly param: string
  /** Seconds after which the server expects to be ready. */
  readonly seconds: number | undefined
}

const field = (value: unknown, key: string): unknown =>
  typeof value === 'object' && value !== null && Object.hasOwn(value, key)
    ? (value as Record<string, unknown>)[key]
    : undefined

const line = (value: unknown): string =>
  typeof value === 'string' ? plain(value, MAX_SAID).replace(/ +/g, ' ').trim() : ''

/**
 * Reads the error in a body or an event: `{"error":{"message"}}` as from OpenAI, `{"error":"text"}`, FastAPI's
 * `detail`, or a message at the top level as from vLLM.
 * @param named whether a status or the type of an event already says that it is an error
 * @returns undefined if it is not an error
 */
export function readError(json: unknown, named: boolean): Said | undefined {
  const error = field(json, 'error')
  const detail = field(json, 'detail')
  const is = named || (error !== undefined && error !== null) || field(json, 'object') === 'error'
  if (!is) return undefined
  const [first] = Array.isArray(detail) ? detail : [detail]
  const code = [field(error, 'code'), field(error, 'status'), field(json, 'code'), field(json, 'status')]
  const where = field(first, 'loc')
  const estimate = Number(field(json, 'estimated_time'))
  return {
    message:
      line(field(error, 'message')) ||
      line(error) ||
      line(field(first, 'msg')) ||
      line(first) ||
      line(field(json, 'message')) ||
      line(json),
    status: code.map(Number).find(n => Number.isInteger(n) && n >= 400 && n < 600),
    param: line(field(error, 'param')) || line(field(json, 'param')) || line(Array.isArray(where) ? where.at(-1) : ''),
    seconds: Number.isFinite(estimate) && estimate > 0 ? estimate : undefined,
  }
}

function isModelName(name: unknown): name is string {
  try {
    model(name, 'id')
    return true
  } catch {
    return false
  }
}

/** The valid names in a list of models; undefined if it is not such a list. */
export function readModels(json: unknown): { names: string[]; owner: string } | undefined {
  const rows = field(json, 'data') ?? field(json, 'models')
  if (!Array.isArray(rows)) return undefined
  const of = rows.slice(0, MAX_MODELS)
  const names = of.map(row => field(row, 'id') ?? field(row, 'name') ?? field(row, 'model'))
  return {
    names: names.filter(isModelName),
    owner: line(field(of[0], 'owned_by')),
  }
}

/** Reads the vectors of an `embeddings` reply, in the order of the texts. @throws Unfit */
export function readVectors(json: unknown, texts: number): Float32Array[] {
  const rows = field(json, 'data')
  if (!Array.isArray(rows) || rows.length !== texts) throw new Unfit('data', `expected ${texts} vectors`)
  const out = new Array<Float32Array>(texts)
  for (const row of rows) {
    const index = integer(0, texts - 1)(field(row, 'index'), 'index')
    const vector = field(row, 'embedding')
    if (
      !Array.isArray(vector) ||
      vector.length === 0 ||
      !vector.every(x => typeof x === 'number' && Number.isFinite(x))
    )
      throw new Unfit('embedding', 'expected a list of numbers')
    out[index] = Float32Array.from(vector as number[])
  }
  if (Array.from(out).includes(undefined as never)) throw new Unfit('data', 'expected a vector for each text')
  if (out.some(({ length }) => length !== out[0]!.length))
    throw new Unfit('embedding', 'expected vectors of the same length')
  return out
}
