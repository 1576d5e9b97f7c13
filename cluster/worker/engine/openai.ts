/** The engine `openai`: a remote server with the OpenAI API. */

import type { EndReason } from '../../../api/answer.js'
import { FsError, fail } from '../../../api/errors.js'
import { plain, Unfit } from '../../../api/field.js'
import type { GenerateRequest } from '../../../api/request.js'
import { type Clock, systemClock } from '../../../fs/base/clock.js'
import { within } from '../../../fs/base/interruptible.js'
import type { Engine, TokenChunk } from './engine.js'
import { Calls } from './openai/calls.js'
import { failureOf, type Refusal } from './openai/failure.js'
import { type Reply, Server } from './openai/http.js'
import {
  ALIVE_MS,
  BARREN_MS,
  CHECK_MS,
  MAX_EVENTS,
  MAX_LESSONS,
  MAX_LIST,
  MAX_REASONING,
  MAX_REPLY,
  MAX_SKIPPED,
  SILENCE_MS,
} from './openai/limits.js'
import { type Chunk, readChunk, readError, readModels, readVectors } from './openai/reply.js'
import { type Event, events } from './openai/sse.js'
import { Slots } from './slots.js'
import { StopBuffer } from './stop-buffer.js'

/** Most stop strings that the API accepts. All of them are also looked for here. */
const MAX_STOPS = 4

const reasons: Readonly<Record<string, EndReason>> = { length: 'length', tool_calls: 'tool', function_call: 'tool' }

/** The parameter to send instead of one that a server does not accept; undefined: none. */
const replacements: Readonly<Record<string, string | undefined>> = {
  max_tokens: 'max_completion_tokens',
  max_completion_tokens: 'max_tokens',
  temperature: undefined,
  top_p: undefined,
  top_k: undefined,
  min_p: undefined,
  seed: undefined,
  stream_options: undefined,
}

/**
 * Makes an engine that uses a server with the OpenAI API: llama-server, vLLM, Ollama, or OpenAI itself. Such a server
 * gives no token ids, so answers cannot be continued elsewhere. It counts the prompt only at the end: `start` says 0
 * tokens, and `end` has the number. Text that came before a failure is yielded before the failure.
 * @param o.url `http://HOST:PORT` for an API at `/v1`, or the address of the API
 * @param o.key sent as `Authorization: Bearer`
 * @param o.slots requests sent to it at once; more wait here
 * @param o.context the context to report, since no API says it
 * @param o.silence_ms how long a request may produce nothing at all; 120 s if omitted
 * @throws FsError `bad argument: url …`
 */
export function createOpenAIEngine(o: {
  url: string
  model: string
  key?: string
  slots: number
  context?: number
  silence_ms?: number
  clock?: Clock
}): Engine {
  const { model, silence_ms = SILENCE_MS, clock = systemClock } = o
  const server = new Server(o.url, o.key, silence_ms, clock)
  const slots = new Slots(Array.from({ length: o.slots }, (_, i) => i))
  /** For each parameter that the server does not accept: the parameter to send instead. */
  const lessons = new Map<string, string | undefined>()

  /**
   * Posts a request. If the server does not know a parameter, it is replaced or left out, now and in later requests.
   */
  async function post(path: string, body: Record<string, unknown>, signal: AbortSignal): Promise<Reply> {
    for (;;) {
      try {
        return await server.post(path, inWordsOf(lessons, body), signal)
      } catch (error) {
        const param = notTaken(error)
        if (param === undefined || !(param in inWordsOf(lessons, body)) || lessons.size >= MAX_LESSONS) throw error
        const before = [...lessons].find(([, to]) => to === param)?.[0]
        if (before !== undefined) lessons.set(before, undefined)
        else lessons.set(param, replacements[param])
      }
    }
  }

  async function* answer(request: GenerateRequest, signal: AbortSignal): AsyncGenerator<TokenChunk, void> {
    const hold = new StopBuffer(request.stop)
    const calls = new Calls()
    let reasoning = ''
    let finish = ''
    let whole = false
    let usage: Chunk['usage']
    let pieces = 0
    // when the reader was last told something, and when something other than comments last came
    let heard = clock.now()
    let moved = heard
    yield { event: 'start', prompt_tokens: 0, reused: 0 }
    const reply = await post(request.messages ? '/chat/completions' : '/completions', bodyOf(model, request), signal)
    try {
      for await (const json of objects(reply, server)) {
        if (json === 'done') {
          whole = true
          break
        }
        const chunk = json === 'idle' ? undefined : read(json, server)
        usage = chunk?.usage ?? usage
        finish = chunk?.finish || finish
        calls.add(chunk?.calls ?? [])
        if (reasoning.length < MAX_REASONING) reasoning += chunk?.reasoning ?? ''
        const { text = '' } = chunk ?? {}
        const now = clock.now()
        if (text || chunk?.reasoning || chunk?.calls.length) moved = now
        else if (now - moved > Math.max(BARREN_MS, silence_ms))
          throw fail('upstreamFailed', `${server.base}: sent only comments for ${Math.round((now - moved) / 1000)} s`)
        if (text) {
          pieces++
          heard = now
          const out = hold.push(text, [])
          if (out) yield { event: 'token', ...out }
          if (hold.stopped) break
        } else if (now - heard >= ALIVE_MS) {
          heard = now
          yield { event: 'alive' }
        }
      }
      if (finish === 'content_filter')
        throw fail('upstreamRefused', `${server.base}: its content filter ended the answer`)
      if (!finish && !hold.stopped && !(whole && pieces > 0))
        throw fail('upstreamFailed', `${server.base}: the answer broke off`)
    } catch (error) {
      const good = signal.aborted ? undefined : hold.end()
      if (good) yield { event: 'token', ...good }
      throw error
    } finally {
      reply.close()
    }
    // if the model only produced reasoning, that is the answer; without it, the answer would look empty
    if (pieces === 0 && calls.none && reasoning) {
      const out = hold.push(reasoning, [])
      if (out) yield { event: 'token', ...out }
    }
    const rest = hold.end()
    if (rest) yield { event: 'token', ...rest }
    const made = calls.read(finish === 'length', server.base)
    const reason = reasons[finish] ?? (made.length > 0 ? 'tool' : 'stop')
    yield {
      event: 'end',
      reason: hold.stopped ? 'stop' : reason,
      completion_tokens: usage?.completion_tokens ?? pieces,
      ...(usage?.prompt_tokens !== undefined && { prompt_tokens: usage.prompt_tokens }),
      ...(made.length > 0 && { calls: made }),
    }
  }

  /** Reads the body of a reply as JSON. */
  async function json(reply: Reply, most: number): Promise<unknown> {
    return parse(await wholeOf(reply, most, server), server)
  }

  function check(signal: AbortSignal): Promise<void> {
    const late = () => fail('upstreamFailed', `${server.base}/models: no answer within ${CHECK_MS / 1000} s`)
    return within(clock, CHECK_MS, signal, checkModel, late)
  }

  /** Throws if the server lists its models and ours is not among them. Some servers list none, or accept any name. */
  async function checkModel(signal: AbortSignal): Promise<void> {
    let listed: ReturnType<typeof readModels>
    try {
      listed = readModels(await json(await server.get('/models', signal), MAX_LIST))
    } catch (error) {
      // a server that asks to wait is there
      if (lacks(error) || (error as FsError).is('upstreamBusy')) return
      throw error
    }
    const { names = [], owner = '' } = listed ?? {}
    if (names.length === 0 || owner === 'llamacpp' || names.some(name => isModel(name, model))) return
    try {
      // the list may be incomplete, so ask for this model by name
      const one = await server.get(`/models/${model.split('/').map(encodeURIComponent).join('/')}`, signal)
      one.close()
    } catch (error) {
      if (!lacks(error)) throw error
      const some = names.slice(0, 5).join(', ')
      throw fail('upstreamRefused', `${server.base}: no model ${model}; models: ${some}`)
    }
  }

  return {
    model: { name: model, size: 0, context: o.context ?? 0, digest: '' },
    slots: o.slots,
    remote: { silence_ms, check },
    generate: (request, signal) =>
      slots.run(signal, {
        prepare() {
          if (request.prefix_ids?.length) throw fail('badArgument', 'prefix_ids: engine openai has no token ids')
        },
        body: (_prepared, _slot, signal) => answer(request, signal),
      }),
    async embed(texts, signal) {
      const reply = await json(await server.post('/embeddings', { model, input: texts }, signal), MAX_REPLY)
      return fit(() => readVectors(reply, texts.length), server)
    },
    close: () => slots.close(),
  }
}

/**
 * Whether the model `name` of a server is the one called `wanted`: Ollama has `llama3:latest`, other servers a variant
 * after a colon.
 */
const isModel = (name: string, wanted: string): boolean =>
  name === wanted || name.startsWith(`${wanted}:`) || wanted.startsWith(`${name}:`) || name.endsWith(`/${wanted}`)

/** Whether the server does not have that path. */
const lacks = (error: unknown): boolean => [404, 405, 501].includes(refusal(error)?.status ?? 0)

const refusal = (error: unknown): Refusal | undefined =>
  error instanceof FsError && error.is('upstreamRefused') ? (error.cause as Refusal | undefined) : undefined

/**
 * The parameter that a server does not accept; undefined if it refuses something else, or names no parameter that can
 * be left out.
 */
function notTaken(error: unknown): string | undefined {
  const { status = 0, param = '' } = refusal(error) ?? {}
  if (status !== 400 && status !== 422) return undefined
  if (param in replacements) return param
  // some servers name it only in the message
  const { message } = error as FsError
  if (!/unsupported|not supported|unknown|unrecognized|unexpected|extra/i.test(message)) return undefined
  return Object.keys(replacements).find(name => new RegExp(`['"\`]${name}['"\`]`).test(message))
}

/** Replaces or removes the parameters that the server does not accept. */
function inWordsOf(
  lessons: ReadonlyMap<string, string | undefined>,
  body: Record<string, unknown>,
): Record<string, unknown> {
  if (lessons.size === 0) return body
  return Object.fromEntries(
    Object.entries(body).flatMap(([name, value]) => {
      const to = lessons.has(name) ? lessons.get(name) : name
      return to === undefined ? [] : [[to, value]]
    }),
  )
}

/**
 * Yields the JSON objects of a reply. For a stream: each object, `done` at `[DONE]`, and `idle` for anything that is
 * not an object. For a reply that is not a stream: its only object. A cut or broken event ends the answer as a failure,
 * since text may be missing there.
 */
async function* objects(reply: Reply, server: Server): AsyncGenerator<object | 'done' | 'idle', void> {
  if (/\bjson\b/.test(reply.type)) {
    yield parse(await wholeOf(reply, MAX_REPLY, server), server)
    yield 'done'
    return
  }
  if (/\bhtml\b/.test(reply.type))
    throw fail('upstreamFailed', `${server.base}: answered with a web page; check engine.url`)
  let count = 0
  let skipped = 0
  for await (const event of events(reply.body)) {
    if (++count > MAX_EVENTS) throw fail('upstreamFailed', `${server.base}: over ${MAX_EVENTS} events in one answer`)
    const object = event === 'idle' ? event : objectOf(event, server)
    if (object === undefined && ++skipped > MAX_SKIPPED)
      throw fail('upstreamFailed', `${server.base}: over ${MAX_SKIPPED} events are not JSON`)
    yield object ?? 'idle'
  }
}

/**
 * The JSON object of an event; undefined for a word such as `ping`, which contains no text.
 * @throws FsError for an error event, and for a broken object
 */
function objectOf({ type, data }: Exclude<Event, 'idle'>, server: Server): object | 'done' | undefined {
  if (data.trim() === '[DONE]') return 'done'
  const named = type === 'error'
  if (!named && !/^\s*\{/.test(data)) return undefined
  let json: unknown
  try {
    json = JSON.parse(data)
  } catch {
    if (!named) return parse(data, server)
    json = data
  }
  const error = readError(json, named)
  if (error) {
    const { status = 500, ...said } = error
    throw failureOf(server.base, status, { ...said, status, message: server.hidden(said.message) })
  }
  return typeof json === 'object' && json !== null ? json : undefined
}

const read = (json: object, server: Server): Chunk => fit(() => readChunk(json), server)

/** Runs a reader. @throws FsError `the upstream failed` for what the reader refuses */
function fit<T>(reader: () => T, server: Server): T {
  try {
    return reader()
  } catch (error) {
    if (error instanceof Unfit) throw fail('upstreamFailed', `${server.base}: ${error.message}`)
    throw error
  }
}

/** Reads a body that is not a stream, as text. */
async function wholeOf({ body, close }: Reply, most: number, { base }: Server): Promise<string> {
  const parts: Uint8Array[] = []
  let size = 0
  try {
    for await (const chunk of body) {
      if ((size += chunk.length) > most) throw fail('upstreamFailed', `${base}: a reply over ${most} bytes`)
      parts.push(chunk)
    }
  } finally {
    close()
  }
  return Buffer.concat(parts).toString()
}

/** Parses a JSON object. @throws FsError `the upstream failed` for anything else; the error that the object contains */
function parse(text: string, server: Server): object {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    // reported below
  }
  if (typeof json !== 'object' || json === null)
    throw fail('upstreamFailed', `${server.base}: not JSON: ${server.hidden(plain(text.slice(0, 100), 100))}`)
  const error = readError(json, false)
  if (error) throw failureOf(server.base, error.status ?? 500, { ...error, message: server.hidden(error.message) })
  return json
}

/**
 * Formats the request for the API. Parameters that the API does not know (`top_k`, `min_p`) are sent only if they were
 * asked for.
 */
function bodyOf(model: string, request: GenerateRequest): Record<string, unknown> {
  const { temperature, top_p, top_k, min_p, seed, max_tokens, stop } = request
  return {
    model,
    stream: true,
    stream_options: { include_usage: true },
    temperature,
    top_p,
    max_tokens,
    ...(top_k > 0 && { top_k }),
    ...(min_p > 0 && { min_p }),
    ...(seed !== undefined && { seed }),
    ...(stop.length > 0 && { stop: stop.slice(0, MAX_STOPS) }),
    ...(request.messages
      ? // a tool's result is sent as a user's turn: the API wants to know which call it answers; ChatMessage
        // does not say
        { messages: request.messages.map(m => ({ role: m.role === 'tool' ? 'user' : m.role, content: m.content })) }
      : { prompt: request.prompt }),
    ...(request.schema !== undefined && {
      response_format: { type: 'json_schema', json_schema: { name: 'answer', strict: true, schema: request.schema } },
    }),
    ...(request.tools?.length && { tools: request.tools.map(tool => ({ type: 'function', function: tool })) }),
  }
}
