/** Requests and a reader for the tests of engines. */

import type { EndReason } from '../../../api/answer.js'
import type { GenerateRequest } from '../../../api/request.js'
import type { Engine, TokenChunk } from '../../../cluster/worker/engine/engine.js'

/** A greedy request with the changes that a test needs. */
export function request(changes: Partial<GenerateRequest>): GenerateRequest {
  return {
    temperature: 0,
    top_p: 1,
    top_k: 0,
    min_p: 0,
    seed: undefined,
    max_tokens: 8_000_000,
    stop: [],
    ...changes,
  }
}

export interface Answer {
  text: string
  ids: number[]
  chunks: { text: string; ids: readonly number[] }[]
  /** The numbers of its `prefill` events. */
  prefill: number[]
  prompt_tokens: number
  reused: number
  reason: EndReason
  completion_tokens: number
  calls: readonly { readonly name: string; readonly arguments: unknown }[] | undefined
}

/** Reads a generation to its end. Throws if its events are not one start, tokens, one end. */
export async function collect(
  engine: Engine,
  r: GenerateRequest,
  signal: AbortSignal = AbortSignal.timeout(60_000),
  seen: (chunk: TokenChunk) => void = () => {},
): Promise<Answer> {
  const chunks: Answer['chunks'] = []
  const prefill: number[] = []
  let start: Extract<TokenChunk, { event: 'start' }> | undefined
  let end: Extract<TokenChunk, { event: 'end' }> | undefined
  for await (const chunk of engine.generate(r, signal)) {
    seen(chunk)
    if (end || (chunk.event === 'start') === (start !== undefined)) throw new Error(`${chunk.event} out of order`)
    if (chunk.event === 'start') start = chunk
    else if (chunk.event === 'end') end = chunk
    else if (chunk.event === 'prefill') prefill.push(chunk.tokens)
    else if (chunk.event === 'alive') continue
    else chunks.push(chunk)
  }
  if (!start || !end) throw new Error('the generation ended without an end')
  return {
    text: chunks.map(c => c.text).join(''),
    ids: chunks.flatMap(c => [...c.ids]),
    chunks,
    prefill,
    prompt_tokens: start.prompt_tokens,
    reused: start.reused,
    reason: end.reason,
    completion_tokens: end.completion_tokens,
    calls: end.calls,
  }
}
