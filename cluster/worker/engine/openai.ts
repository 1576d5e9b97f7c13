import { fail } from '../../../fs/errors.js'
import type { EndReason, Engine, GenerateRequest, TokenChunk } from './engine.js'
import { Hold } from './hold.js'
import { Server } from './openai/http.js'
import { eventData } from './openai/sse.js'
import { Slots } from './slots.js'

/** Arguments of tool calls that are put together, in characters. */
const MAX_ARGUMENTS = 1024 * 1024
/** Bytes of a reply that is not a stream: vectors of a few hundred texts. */
const MAX_REPLY = 64 * 1024 * 1024
/** Stop strings the API takes; all are found here as well. */
const MAX_STOPS = 4

/** What is read of a streamed chunk. */
interface Chunk {
  readonly error?: { readonly message?: string }
  readonly usage?: { readonly prompt_tokens?: number; readonly completion_tokens?: number } | null
  readonly choices?: readonly {
    readonly text?: string | null
    readonly delta?: {
      readonly content?: string | null
      readonly tool_calls?: readonly {
        readonly index?: number
        readonly function?: { readonly name?: string; readonly arguments?: string }
      }[]
    }
    readonly finish_reason?: string | null
  }[]
}

const reasons: Readonly<Record<string, EndReason>> = { length: 'length', tool_calls: 'tool', function_call: 'tool' }

/**
 * An engine that is a server with the OpenAI API: llama-server, vLLM, Ollama, or the original. It gives no token ids, so its
 * answers cannot be continued elsewhere. It counts the prompt at the end only: `start` says 0 tokens, `end` the number.
 * @param o.url `http://HOST:PORT`, with or without `/v1`
 * @param o.key what `Authorization: Bearer` carries
 * @param o.slots requests it is sent at once; more wait here
 * @param o.context what to tell of its context, for no API says it
 * @throws FsError `bad argument: url …`
 */
export function createOpenAIEngine(o: {
  url: string
  model: string
  key?: string
  slots: number
  context?: number
}): Engine {
  const server = new Server(o.url, o.key)
  const slots = new Slots(Array.from({ length: o.slots }, (_, i) => i))

  async function* answer(request: GenerateRequest, signal: AbortSignal): AsyncGenerator<TokenChunk, void> {
    const hold = new Hold(request.stop)
    const calls: { name: string; arguments: string }[] = []
    let finish: string | undefined
    let usage: Chunk['usage']
    let pieces = 0
    yield { event: 'start', prompt_tokens: 0, reused: 0 }
    const path = request.messages ? '/chat/completions' : '/completions'
    for await (const data of eventData(server.post(path, bodyOf(o.model, request), signal))) {
      if (data === '[DONE]') break
      const chunk = parse(data, server.base) as Chunk
      if (chunk.error) throw fail('io', `${server.base}: ${chunk.error.message ?? 'an error it does not name'}`)
      usage = chunk.usage ?? usage
      const choice = chunk.choices?.[0]
      finish = choice?.finish_reason ?? finish
      for (const part of choice?.delta?.tool_calls ?? []) collectCall(calls, part)
      const text = choice?.delta?.content ?? choice?.text
      if (!text) continue
      pieces++
      const out = hold.push(text, [])
      if (out) yield { event: 'token', ...out }
      if (hold.stopped) break
    }
    const rest = hold.end()
    if (rest) yield { event: 'token', ...rest }
    if (!finish && !hold.stopped) throw fail('io', `${server.base}: the answer broke off`)
    yield {
      event: 'end',
      reason: hold.stopped ? 'stop' : (reasons[finish ?? ''] ?? 'stop'),
      completion_tokens: usage?.completion_tokens ?? pieces,
      ...(usage?.prompt_tokens !== undefined && { prompt_tokens: usage.prompt_tokens }),
      ...(calls.length > 0 && {
        calls: calls.map(call => ({ name: call.name, arguments: parse(call.arguments || '{}', server.base) })),
      }),
    }
  }

  return {
    model: { name: o.model, size: 0, context: o.context ?? 0, digest: '' },
    slots: o.slots,
    generate: (request, signal) =>
      slots.run(signal, {
        prepare() {
          if (request.prefix_ids?.length) throw fail('badArgument', 'prefix_ids: engine openai has no token ids')
        },
        body: (_prepared, _slot, signal) => answer(request, signal),
      }),
    async embed(texts, signal) {
      let size = 0
      const parts: Uint8Array[] = []
      for await (const chunk of server.post('/embeddings', { model: o.model, input: texts }, signal)) {
        parts.push(chunk)
        if ((size += chunk.length) > MAX_REPLY) throw fail('io', `${server.base}: a reply over ${MAX_REPLY} bytes`)
      }
      const reply = parse(Buffer.concat(parts).toString(), server.base) as {
        data?: { index: number; embedding: number[] }[]
      }
      const out = new Array<Float32Array>(texts.length)
      for (const { index, embedding } of reply.data ?? []) out[index] = Float32Array.from(embedding)
      if (out.length !== texts.length || Array.from(out).includes(undefined as never)) {
        throw fail('io', `${server.base}: not a vector for each text`)
      }
      return out
    },
    close: () => slots.close(),
  }
}

/** The request in the API's words. What it does not know (`top_k`, `min_p`) is said only where it is asked for. */
function bodyOf(model: string, request: GenerateRequest): unknown {
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

/** Adds a part of a tool call to those put together so far. */
function collectCall(
  calls: { name: string; arguments: string }[],
  part: { readonly index?: number; readonly function?: { readonly name?: string; readonly arguments?: string } },
): void {
  const at = part.index ?? calls.length
  if (at > calls.length) throw fail('io', 'tool calls out of order')
  const call = (calls[at] ??= { name: '', arguments: '' })
  call.name += part.function?.name ?? ''
  call.arguments += part.function?.arguments ?? ''
  if (call.arguments.length > MAX_ARGUMENTS) throw fail('io', `a tool call over ${MAX_ARGUMENTS} characters`)
}

function parse(json: string, from: string): unknown {
  try {
    return JSON.parse(json)
  } catch (error) {
    throw fail('io', `${from}: not JSON: ${json.slice(0, 100)}`, error)
  }
}
