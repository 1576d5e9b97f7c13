/** Parses the requests written to `embed`. */
import { fail } from '../../api/errors.js'
import { MAX_TEXTS } from './limits.js'

/** A parsed request. */
export interface EmbedRequest {
  readonly input: readonly string[]
  /** The model to use: vectors of different models cannot be compared. */
  readonly model?: string
}

const keys = ['input', 'model']

/**
 * Parses a request of `embed`: `{"input": "text"}` or `{"input": ["text", …]}`, with an optional `model`. The answer is
 * `{"model": NAME, "embeddings": [[…], …]}`, one vector per text.
 * @throws FsError `bad argument` for anything else
 */
export function parseEmbedRequest(json: string): EmbedRequest {
  let request: unknown
  try {
    request = JSON.parse(json)
  } catch (error) {
    throw fail('badArgument', `not JSON: ${(error as Error).message}`)
  }
  if (typeof request !== 'object' || request === null) throw fail('badArgument', 'request: expected a JSON object')
  const unknown = Object.keys(request).find(key => !keys.includes(key))
  if (unknown !== undefined)
    throw fail('badArgument', `request: unknown key ${JSON.stringify(unknown)}; keys: ${keys.join(' ')}`)
  const { input, model } = request as { input?: unknown; model?: unknown }
  const texts = typeof input === 'string' ? [input] : input
  if (!Array.isArray(texts) || texts.length === 0 || texts.length > MAX_TEXTS || texts.some(t => typeof t !== 'string'))
    throw fail('badArgument', `input: expected a text, or a list of 1 to ${MAX_TEXTS} texts`)
  if (model !== undefined && typeof model !== 'string') throw fail('badArgument', 'model: expected a name')
  return { input: texts, ...(model !== undefined && { model }) }
}
