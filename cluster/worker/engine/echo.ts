/** The engine `echo`: an engine without a model, for tests and simulation. */

import { setImmediate as turn } from 'node:timers/promises'
import { fail } from '../../../api/errors.js'
import type { GenerateRequest } from '../../../api/request.js'
import { type Clock, sleep, systemClock } from '../../../fs/base/clock.js'
import { contextFull, type Engine, type TokenChunk } from './engine.js'
import { Slots } from './slots.js'
import { StopBuffer } from './stop-buffer.js'

/** Most tokens given without letting anything else run. */
const TURN = 64
const DIMENSIONS = 64
const times = /^x(\d{1,7})$/

/**
 * Makes an engine that repeats the words of its prompt, numbered. Token i of the answer to `red green` is ` i:WORD`
 * (the first one without the space), and its id is i: `0:red 1:green`. The prompt is the last user message (or the raw
 * prompt), and is repeated once. A last word `xN` is not repeated but asks for N tokens, starting over as needed: `red
 * green x3` gives `0:red 1:green 2:red`. So a reader can tell whose answer it reads, and that no token is lost,
 * repeated or out of order. Each word counts as a token. Of the sampling settings, only `max_tokens` and `stop` have an
 * effect.
 * @param o.slots generations at once; 4 if omitted
 * @param o.rate tokens per second of each generation; 0 (the default): as fast as possible
 * @param o.first_token_ms additional time before the first token; 0 if omitted
 * @param o.context words of prompt and answer that fit; 0 (the default): any number
 * @param o.clock times the rate
 */
export function createEchoEngine(o: {
  slots?: number
  rate?: number
  first_token_ms?: number
  context?: number
  clock?: Clock
}): Engine {
  const { slots: size = 4, rate = 0, first_token_ms = 0, context = 0, clock = systemClock } = o
  const slots = new Slots(Array.from({ length: size }, (_, i) => i))

  async function* answer(request: GenerateRequest, signal: AbortSignal): AsyncGenerator<TokenChunk, void> {
    const prompt_tokens = wordsOf(
      [...(request.messages ?? []).map(m => m.content), request.prompt ?? ''].join(' '),
    ).length
    if (context > 0 && prompt_tokens >= context) {
      throw contextFull(`prompt ${prompt_tokens} tokens`, context)
    }
    const token = tokens(request)
    const room = Math.min(request.max_tokens, context > 0 ? context - prompt_tokens : Number.POSITIVE_INFINITY)
    const hold = new StopBuffer(request.stop)
    yield { event: 'start', prompt_tokens, reused: 0 }

    let i = 0
    for (const id of request.prefix_ids ?? []) {
      if (id !== i || i >= token.count) throw fail('badArgument', `prefix_ids: ${id} is not token ${i} of this answer`)
      hold.given(token.text(i), [i])
      i++
    }
    const begin = clock.now() + first_token_ms - i * (rate > 0 ? 1000 / rate : 0)
    for (const given = i; i < token.count && i < room && !hold.stopped; i++) {
      // times are counted from the beginning, so that the delays of late timers do not add up
      const wait = begin + (rate > 0 ? (i * 1000) / rate : 0) - clock.now()
      if (wait > 0) await sleep(clock, wait, signal)
      else if ((i - given) % TURN === TURN - 1) await turn()
      signal.throwIfAborted()
      const out = hold.push(token.text(i), [i])
      if (out) yield { event: 'token', ...out }
    }
    const rest = hold.end()
    if (rest) yield { event: 'token', ...rest }
    const whole = hold.stopped || i >= token.count
    yield { event: 'end', reason: whole ? 'stop' : 'length', completion_tokens: i }
  }

  return {
    model: { name: 'echo', size: 0, context, digest: 'echo:1' },
    slots: size,
    generate: (request, signal) =>
      slots.run(signal, {
        prepare() {
          if (request.schema !== undefined)
            throw fail('notSupported', 'schema: engine echo does not support it; use engine llama')
          if (request.tools?.length)
            throw fail('notSupported', 'tools: engine echo does not support them; use engine openai')
        },
        body: (_prepared, _slot, signal) => answer(request, signal),
      }),
    async embed(texts, signal) {
      signal.throwIfAborted()
      return texts.map(vector)
    },
    close: () => slots.close(),
  }
}

const wordsOf = (text: string) => text.split(/\s+/).filter(word => word !== '')

/** Makes the answer as a function of the request and i. */
function tokens(request: GenerateRequest): { count: number; text(i: number): string } {
  const last = request.messages?.findLast(m => m.role === 'user')?.content
  const words = wordsOf(request.prompt ?? last ?? '')
  const asked = words.length > 1 ? times.exec(words.at(-1)!) : null
  if (asked) words.pop()
  return {
    count: asked ? Number(asked[1]) : words.length,
    text: i => `${i > 0 ? ' ' : ''}${i}:${words[i % words.length]}`,
  }
}

/**
 * Counts the hashes of the words into dimensions, and scales the vector to length 1: texts with the same words are near
 * each other.
 */
function vector(text: string): Float32Array {
  const out = new Float32Array(DIMENSIONS)
  for (const word of wordsOf(text.toLowerCase())) {
    let hash = 0x811c9dc5 // FNV-1a
    for (let i = 0; i < word.length; i++) hash = Math.imul(hash ^ word.charCodeAt(i), 0x01000193)
    out[(hash >>> 1) % DIMENSIONS]! += hash & 1 ? 1 : -1
  }
  const length = Math.hypot(...out) || 1
  return out.map(x => x / length)
}
