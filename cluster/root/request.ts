/** Parses `generate` requests, and builds those of a plain `data`. */
import { MAX_MODEL, ranges, roles, samplingNames } from '../../api/conversation.js'
import { fail } from '../../api/errors.js'
import * as field from '../../api/field.js'
import { deeper } from '../../api/text.js'
import type { ChatMessage, GenerateRequest, Sampling, Tool } from './generation.js'
import { MAX_JSON_DEPTH } from './limits.js'
import { defaults, isNumeric, number, numeric, stops } from './settings.js'

/**
 * Identifies the exchange in a cluster that the request came through. It carries what that cluster needs to know after
 * a restart: of a continued stream, also the text of `prefix_ids`.
 */
export interface Via {
  /** The cluster's id. */
  readonly cluster: string
  readonly task: string
  /** Counted from 1. Results of earlier attempts are discarded. */
  readonly attempt: number
  readonly session?: string
  readonly given?: string
  /** Proves to the cluster that it gave this exchange to that worker. */
  readonly proof?: string
}

/** A parsed `generate` request: what the engine needs, and what only the root looks at. */
export interface Request {
  readonly generate: Omit<GenerateRequest, keyof Sampling> & Partial<Sampling>
  readonly model: string | undefined
  readonly session: string | undefined
  readonly priority: number
  readonly deadline_ms: number | undefined
  readonly keep_s: number
  readonly digest: string | undefined
  /** The clusters it came through, the outermost first. */
  readonly via: readonly Via[] | undefined
  /** Hints for the routing of an orchestrator. A worker has only one model and just keeps them for `trace`. */
  readonly type: string | undefined
  readonly model_hint: string | undefined
}

const bad = (text: string) => fail('badArgument', text)

function string(name: string, value: unknown, most = 1024): string {
  if (typeof value !== 'string' || value.length > most)
    throw bad(`${name}: expected a string of at most ${most} characters`)
  return value
}

function object(name: string, value: unknown, keys?: readonly string[]): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw bad(`${name}: expected a JSON object`)
  const unknown = keys && Object.keys(value).find(key => !keys.includes(key))
  if (unknown !== undefined) throw bad(`${name}: unknown key ${JSON.stringify(unknown)}; keys: ${keys!.join(' ')}`)
  return value as Record<string, unknown>
}

/** Checks one message of a conversation, as in `history` and `messages`. @throws FsError `bad argument` */
export function message(value: unknown, name = 'message'): ChatMessage & { stopped?: true } {
  const { role, content, stopped } = object(name, value, ['role', 'content', 'stopped'])
  if (typeof role !== 'string' || !roles.some(known => known === role))
    throw bad(`${name}: role: expected one of ${roles.join(' ')}`)
  if (typeof content !== 'string') throw bad(`${name}: content: expected a string`)
  return { role: role as ChatMessage['role'], content, ...(stopped === true && { stopped }) }
}

function tool(value: unknown): Tool {
  // both the bare form and OpenAI's {type:"function",function:{…}}
  const outer = object('tools', value)
  const { name, description, parameters } = object('tools', outer.function ?? outer)
  return {
    name: string('tools: name', name, 64),
    ...(description !== undefined && { description: string('tools: description', description, 65536) }),
    ...(parameters !== undefined && { parameters: object('tools: parameters', parameters) }),
  }
}

function list<T>(name: string, value: unknown, most: number, of: (item: unknown) => T): T[] {
  if (!Array.isArray(value) || value.length > most) throw bad(`${name}: expected a list of at most ${most}`)
  return value.map(of)
}

/** Most clusters nested in each other: more is a mistake. */
const MAX_DEPTH = 16

/**
 * A worker repeats these values in its status, which the cluster reads: a value that could not stand there is refused
 * here.
 */
const passage = field.object({
  cluster: field.id,
  task: field.serial,
  attempt: field.integer(1, 1000),
  session: field.optional(field.serial, undefined),
  given: field.optional(field.text(16 * 1024 * 1024), undefined),
  proof: field.optional(field.secret, undefined),
})

function via(value: unknown): Via {
  try {
    return passage(object('via', value, ['cluster', 'task', 'attempt', 'session', 'given', 'proof']), 'via')
  } catch (error) {
    throw error instanceof field.Unfit ? bad(`via: ${error.message}`) : error
  }
}

/** The parser of each key. `undefined` and null values are ignored, as if the key were absent. */
const keys: Record<string, (value: unknown) => unknown> = {
  messages: v =>
    list('messages', v, 10_000, (m, i?: number) => message(m, `messages${i === undefined ? '' : `[${i}]`}`)),
  prompt: v => string('prompt', v, 16 * 1024 * 1024),
  model: v => string('model', v, MAX_MODEL),
  stop: stops,
  schema: v => (typeof v === 'boolean' ? v : object('schema', v)),
  tools: v => list('tools', v, 128, tool),
  session: v => (typeof v === 'number' ? String(v) : string('session', v, 64)),
  type: v => string('type', v, 64),
  model_hint: v => string('model_hint', v, 256),
  priority: v => number('priority', v, -10, 10, true),
  deadline_ms: v => number('deadline_ms', v, 1, 86_400_000, true),
  keep_s: v => number('keep_s', v, 0, 600),
  prefix_ids: v => list('prefix_ids', v, 1_048_576, id => number('prefix_ids', id, 0, 0x7fffffff, true)),
  digest: v => string('digest', v, 128),
  via: v => list('via', v, MAX_DEPTH, via),
}

/** The keys that a request may have. */
export const accepted = [...Object.keys(keys), ...Object.keys(ranges)]

/**
 * Parses one JSON request.
 * @throws FsError `bad argument` for text that is not JSON, for an unknown key (by name), and for a value out of range
 */
export function parseRequest(text: string): Request {
  if (deeper(text, MAX_JSON_DEPTH)) throw bad(`lists and objects are nested over ${MAX_JSON_DEPTH} deep`)
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (error) {
    throw bad(`not JSON: ${(error as Error).message}`)
  }
  const out: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(object('request', json, accepted))) {
    if (value === undefined || value === null) continue
    out[key] = isNumeric(key) ? numeric(key, value) : keys[key]!(value)
  }
  const { model, session, priority, deadline_ms, keep_s, digest, via, type, model_hint, ...generate } = out
  if ((generate.messages === undefined) === (generate.prompt === undefined))
    throw bad('request: expected either messages or prompt')
  if (generate.prompt !== undefined && session !== undefined) throw bad('prompt: a session accepts messages only')
  if (generate.prefix_ids !== undefined && digest === undefined)
    throw bad('prefix_ids: digest is missing; set it to that of the model that made them')
  return {
    generate: generate as Request['generate'],
    model: model as string | undefined,
    session: session as string | undefined,
    priority: (priority as number | undefined) ?? 0,
    deadline_ms: deadline_ms as number | undefined,
    keep_s: (keep_s as number | undefined) ?? 0,
    digest: digest as string | undefined,
    via: via as Request['via'],
    type: type as string | undefined,
    model_hint: model_hint as string | undefined,
  }
}

/** Formats a request as a client would write it to `generate`, with the sampling settings that were asked for. */
export function requestJson({ generate, ...rest }: Request, asked: Partial<Sampling>): string {
  return JSON.stringify({ ...generate, ...asked, ...rest })
}

/** Makes the request for a prompt written to a plain `data`: one conversation, everything else as set in `ctl`. */
export function plainRequest(messages: readonly ChatMessage[]): Request {
  return {
    generate: { messages },
    model: undefined,
    session: undefined,
    priority: 0,
    deadline_ms: undefined,
    keep_s: 0,
    digest: undefined,
    via: undefined,
    type: undefined,
    model_hint: undefined,
  }
}

/** Merges layers of sampling settings; later ones win. Other keys of a layer are ignored. */
export function layered(...layers: readonly Partial<Sampling>[]): Partial<Sampling> {
  const all: Partial<Sampling> = Object.assign({}, ...layers)
  return Object.fromEntries(samplingNames.flatMap(key => (all[key] === undefined ? [] : [[key, all[key]]])))
}

/** Merges layers in the same way, and fills in the defaults. */
export const sampling = (...layers: readonly Partial<Sampling>[]): Sampling =>
  ({ ...defaults, ...layered(...layers) }) as Sampling
