import { plain, Unfit } from '../../../api/field.js'
import { type Clock, deadline, systemClock } from '../../../fs/clock.js'
import { FsError, fail } from '../../../fs/errors.js'
import type { EndReason, Engine, GenerateRequest, TokenChunk } from './engine.js'
import { Hold } from './hold.js'
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

/** Stop strings the API takes; all are found here as well. */
const MAX_STOPS = 4

const reasons: Readonly<Record<string, EndReason>> = { length: 'length', tool_calls: 'tool', function_call: 'tool' }

/** What a server that does not take a parameter gets instead; undefined: nothing. */
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
 * An engine that is a server with the OpenAI API: llama-server, vLLM, Ollama, or the original. It gives no token ids, so its
 * answers cannot be continued elsewhere. It counts the prompt at the end only: `start` says 0 tokens, `end` the number. Text that
 * came before a failure is given before it.
 * @param o.url `http://HOST:PORT`, for the API at `/v1` there, or where the API is
 * @param o.key what `Authorization: Bearer` carries
 * @param o.slots requests it is sent at once; more wait here
 * @param o.context what to tell of its context, for no API says it
 * @param o.silence_ms how long a request may bring nothing at all; 120 s unless given
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
  /** By parameter that the server does not take, what it gets instead. */
  const lessons = new Map<string, string | undefined>()

  /** Posts a request; again in other words where the server does not know a parameter of it, which is remembered. */
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
    const hold = new Hold(request.stop)
    const calls = new Calls()
    let reasoning = ''
    let finish = ''
    let whole = false
    let usage: Chunk['usage']
    let pieces = 0
    // when the reader last heard from us, and when there was last more than comments
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
          throw fail('upstreamFailed', `${server.base}: nothing but comments for ${Math.round((now - moved) / 1000)} s`)
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
    // a model that only thought has said that much; nothing at all would look like an answer that is empty
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

  /** What a path gives, as JSON. */
  async function json(reply: Reply, most: number): Promise<unknown> {
    return parse(await wholeOf(reply, most, server), server)
  }

  async function check(signal: AbortSignal): Promise<void> {
    const late = deadline(clock, CHECK_MS, () =>
      fail('upstreamFailed', `${server.base}/models: no answer within ${CHECK_MS / 1000} s`),
    )
    try {
      await checkModel(AbortSignal.any([signal, late.signal]))
    } finally {
      late.cancel()
    }
  }

  /** Refuses where the server lists its models and does not have ours. Some list none, or take any name. */
  async function checkModel(signal: AbortSignal): Promise<void> {
    let listed: ReturnType<typeof readModels>
    try {
      listed = readModels(await json(await server.get('/models', signal), MAX_LIST))
    } catch (error) {
      // one that asks to wait is there
      if (lacks(error) || (error as FsError).is('upstreamBusy')) return
      throw error
    }
    const { names = [], owner = '' } = listed ?? {}
    if (names.length === 0 || owner === 'llamacpp' || names.some(name => isModel(name, model))) return
    try {
      // a list may be a choice of what there is
      const one = await server.get(`/models/${model.split('/').map(encodeURIComponent).join('/')}`, signal)
      one.close()
    } catch (error) {
      if (!lacks(error)) throw error
      const some = names.slice(0, 5).join(', ')
      throw fail('upstreamRefused', `${server.base}: it has no model ${model}; it has ${some}`)
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

/** Whether a server that has `name` serves what is called `wanted`: Ollama has `llama3:latest`, others a variant behind a colon. */
const isModel = (name: string, wanted: string): boolean =>
  name === wanted || name.startsWith(`${wanted}:`) || wanted.startsWith(`${name}:`) || name.endsWith(`/${wanted}`)

/** Whether the server has no such path. */
const lacks = (error: unknown): boolean => [404, 405, 501].includes(refusal(error)?.status ?? 0)

const refusal = (error: unknown): Refusal | undefined =>
  error instanceof FsError && error.is('upstreamRefused') ? (error.cause as Refusal | undefined) : undefined

/** The parameter that a server does not take; undefined: it refuses something else, or names none that can be left out. */
function notTaken(error: unknown): string | undefined {
  const { status = 0, param = '' } = refusal(error) ?? {}
  if (status !== 400 && status !== 422) return undefined
  if (param in replacements) return param
  // some name it in words only
  const { message } = error as FsError
  if (!/unsupported|not supported|unknown|unrecognized|unexpected|extra/i.test(message)) return undefined
  return Object.keys(replacements).find(name => new RegExp(`['"\`]${name}['"\`]`).test(message))
}

/** A body with the parameters that a server takes. */
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
 * The JSON objects of a reply: of a stream one by one, `done` at its `[DONE]`, `idle` where something came that is no object; of a reply
 * that is not a stream the one that it is. An event that is cut or broken ends it: text may be missing there.
 */
async function* objects(reply: Reply, server: Server): AsyncGenerator<object | 'done' | 'idle', void> {
  if (/\bjson\b/.test(reply.type)) {
    yield parse(await wholeOf(reply, MAX_REPLY, server), server)
    yield 'done'
    return
  }
  if (/\bhtml\b/.test(reply.type)) throw fail('upstreamFailed', `${server.base}: a web page; is engine.url right?`)
  let count = 0
  let skipped = 0
  for await (const event of events(reply.body)) {
    if (++count > MAX_EVENTS) throw fail('upstreamFailed', `${server.base}: over ${MAX_EVENTS} events in one answer`)
    const object = event === 'idle' ? event : objectOf(event, server)
    if (object === undefined && ++skipped > MAX_SKIPPED)
      throw fail('upstreamFailed', `${server.base}: over ${MAX_SKIPPED} events that are no JSON`)
    yield object ?? 'idle'
  }
}

/** An event's JSON object; undefined: a word such as `ping`, which holds no text. @throws FsError for an error, and for what is broken */
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

/** @throws FsError `the upstream failed` for what a reader refuses */
function fit<T>(reader: () => T, server: Server): T {
  try {
    return reader()
  } catch (error) {
    if (error instanceof Unfit) throw fail('upstreamFailed', `${server.base}: ${error.message}`)
    throw error
  }
}

/** A body that is no stream, as text. */
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

/** @throws FsError `the upstream failed` for what is no JSON object; an error that it holds */
function parse(text: string, server: Server): object {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    // told below
  }
  if (typeof json !== 'object' || json === null)
    throw fail('upstreamFailed', `${server.base}: not JSON: ${server.hidden(plain(text.slice(0, 100), 100))}`)
  const error = readError(json, false)
  if (error) throw failureOf(server.base, error.status ?? 500, { ...error, message: server.hidden(error.message) })
  return json
}

/** The request in the API's words. What it does not know (`top_k`, `min_p`) is said only where it is asked for. */
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
      ? // A tool's result is a user's turn: ChatMessage does not say which call it answers, which the API wants to know.
        { messages: request.messages.map(m => ({ role: m.role === 'tool' ? 'user' : m.role, content: m.content })) }
      : { prompt: request.prompt }),
    ...(request.schema !== undefined && {
      response_format: { type: 'json_schema', json_schema: { name: 'answer', strict: true, schema: request.schema } },
    }),
    ...(request.tools?.length && { tools: request.tools.map(tool => ({ type: 'function', function: tool })) }),
  }
}
