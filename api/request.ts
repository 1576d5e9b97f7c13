/** The requests of `generate`: one JSON object, which clients write and servers parse (docs/files.md#generate). */
import { fail } from '../fs/base/errors.js'
import { MAX_DEPTH, MAX_MODEL, MAX_TEXT, roles } from './conversation.js'
import * as field from './field.js'
import { numeric, type Sampling, stops } from './sampling.js'
import { jsonArgument } from './text.js'
import type { Written } from './written.js'

/** Most messages, tools, and token ids of one request. */
const MAX_MESSAGES = 10_000
const MAX_TOOLS = 128
const MAX_IDS = 1_048_576
/** Most characters of a tool's description. */
const MAX_DESCRIPTION = 65_536
/** Most clusters nested in each other: more is a mistake. */
const MAX_CLUSTERS = 16
/** Token ids are 32-bit in llama.cpp. */
const MAX_ID = 0x7fffffff

const { exact, given, inside } = field

const message = exact({
  role: field.oneOf(roles),
  content: field.text(MAX_TEXT),
  /** Set only on an answer that was cancelled. */
  stopped: (value): true | undefined => (value === true ? value : undefined),
})

const bare = field.object({
  name: field.text(64),
  description: given(field.text(MAX_DESCRIPTION)),
  parameters: given(field.some),
})

/** A function that the model may call, as it is or as OpenAI wraps it: `{"type":"function","function":{…}}`. */
const tool: field.Field<field.Of<typeof bare>> = (value, name) => {
  const outer = field.some(value, name) as { readonly function?: unknown }
  return bare(outer.function ?? outer, name)
}

/**
 * Identifies the exchange in a cluster that the request came through. It carries what that cluster needs to know after
 * a restart: of a continued stream, also the text of `prefix_ids`. A worker repeats these values in its status, which
 * the cluster reads: a value that could not stand there is refused here.
 */
const passage = exact({
  /** The cluster's id. */
  cluster: field.id,
  task: field.serial,
  /** Counted from 1. Results of earlier attempts are discarded. */
  attempt: field.integer(1, 1000),
  session: field.optional(field.serial, undefined),
  given: field.optional(field.text(MAX_TEXT), undefined),
  /** Proves to the cluster that it gave this exchange to that worker. */
  proof: field.optional(field.secret, undefined),
})

/** The keys of a request. A value of null counts as missing. */
const keys = {
  /** Either a conversation, or `prompt`, which is raw text without a chat template; never both. */
  messages: given(field.list(inside(message), MAX_MESSAGES)),
  prompt: given(field.text(MAX_TEXT)),
  model: given(field.text(MAX_MODEL)),
  stop: given(stops),
  /** A JSON schema that the answer must obey. */
  schema: given<boolean | object>((value, name) => (typeof value === 'boolean' ? value : field.some(value, name))),
  tools: given(field.list(inside(tool), MAX_TOOLS)),
  session: given((value, name) => (typeof value === 'number' ? String(value) : field.text(64)(value, name))),
  /** Hints for the routing of an orchestrator. A worker has only one model and just keeps them for `trace`. */
  type: given(field.text(64)),
  model_hint: given(field.text(256)),
  priority: given(field.typed(-10, 10, true)),
  deadline_ms: given(field.typed(1, 86_400_000, true)),
  keep_s: given(field.typed(0, 600, false)),
  /**
   * Ids of tokens that were already given out for this request, to continue from without a seam. They count towards
   * max_tokens.
   */
  prefix_ids: given(field.list(field.typed(0, MAX_ID, true), MAX_IDS)),
  /** The digest of the model that made them. */
  digest: given(field.text(128)),
  /** The clusters it came through, the outermost first. */
  via: given(field.list(inside(passage), MAX_CLUSTERS)),
  temperature: given(numeric.temperature),
  top_p: given(numeric.top_p),
  top_k: given(numeric.top_k),
  min_p: given(numeric.min_p),
  seed: given(numeric.seed),
  max_tokens: given(numeric.max_tokens),
}

const body = exact(keys)

/** The names of all keys. */
export const requestKeys: readonly string[] = Object.keys(keys)

export type Role = (typeof roles)[number]
/** One message of a conversation. */
export interface ChatMessage {
  readonly role: Role
  readonly content: string
}
export type Tool = field.Of<typeof bare>
export type Via = field.Of<typeof passage>

/** What an engine needs to know of a request, besides the settings of the generation. */
interface Content {
  readonly messages?: readonly ChatMessage[]
  readonly prompt?: string
  readonly schema?: unknown
  readonly tools?: readonly Tool[]
  readonly prefix_ids?: readonly number[]
}

/** One request to an engine. */
export interface GenerateRequest extends Sampling, Content {}

/** A parsed request: what the engine needs, and what only the root looks at. */
export interface Request {
  readonly generate: Content & Partial<Sampling>
  readonly model: string | undefined
  readonly session: string | undefined
  readonly priority: number
  readonly deadline_ms: number | undefined
  readonly keep_s: number
  readonly digest: string | undefined
  readonly via: readonly Via[] | undefined
  readonly type: string | undefined
  readonly model_hint: string | undefined
}

/** A request as a client writes it. */
export type RequestBody = Written<field.Of<typeof body>>

/** Formats a request, for `generate`. */
export const requestText = (request: RequestBody): string => JSON.stringify(request)

/** Formats one message as a line of `history`. */
export const messageLine = (one: Written<field.Of<typeof message>>): string => `${JSON.stringify(one)}\n`

/** Parses a line of `history`. @throws FsError `bad argument` */
export const parseMessageLine = (line: string): field.Of<typeof message> =>
  field.argument(inside(message), jsonArgument(line, 'history', MAX_DEPTH), 'history')

/**
 * Parses one request.
 * @throws FsError `bad argument` for text that is not JSON, for an unknown key (by name), and for a value out of range
 */
export function parseRequest(text: string): Request {
  const bad = (why: string) => fail('badArgument', why)
  const asked = field.argument(body, jsonArgument(text, 'request', MAX_DEPTH), 'request')
  const { model, session, priority = 0, deadline_ms, keep_s = 0, digest, via, type, model_hint, ...generate } = asked
  if ((generate.messages === undefined) === (generate.prompt === undefined))
    throw bad('request: expected either messages or prompt')
  if (generate.prompt !== undefined && session !== undefined) throw bad('prompt: a session accepts messages only')
  if (generate.prefix_ids !== undefined && digest === undefined)
    throw bad('prefix_ids: digest is missing; set it to that of the model that made them')
  return { generate, model, session, priority, deadline_ms, keep_s, digest, via, type, model_hint }
}

/** Formats a request as a client would write it to `generate`, with the sampling settings that were asked for. */
export function requestJson(request: Request, asked: Partial<Sampling>): string {
  const { generate, model, session, priority, deadline_ms, keep_s, digest, via, type, model_hint } = request
  const own: Omit<Request, 'generate'> = {
    model,
    session,
    priority,
    deadline_ms,
    keep_s,
    digest,
    via,
    type,
    model_hint,
  }
  // what is spread comes last: V8 takes five times as long for properties that follow
  return requestText({ ...own, ...generate, ...asked } as RequestBody)
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
