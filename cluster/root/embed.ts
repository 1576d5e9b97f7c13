import { fail } from '../../fs/errors.js'
import { MAX_TEXTS } from './limits.js'

/**
 * Reads a request of `embed`: `{"input": "text"}` or `{"input": ["text", …]}`. The answer is
 * `{"model": NAME, "embeddings": [[…], …]}`, one vector per text.
 */
export function parseEmbedRequest(json: string): string[] {
  let request: unknown
  try {
    request = JSON.parse(json)
  } catch (error) {
    throw fail('badArgument', `not JSON: ${(error as Error).message}`)
  }
  if (typeof request !== 'object' || request === null) throw fail('badArgument', 'request: a JSON object')
  const unknown = Object.keys(request).find(key => key !== 'input')
  if (unknown !== undefined) throw fail('badArgument', `request: unknown key ${JSON.stringify(unknown)}: accepts input`)
  const { input } = request as { input?: unknown }
  const texts = typeof input === 'string' ? [input] : input
  if (!Array.isArray(texts) || texts.length === 0 || texts.length > MAX_TEXTS || texts.some(t => typeof t !== 'string'))
    throw fail('badArgument', `input: a text, or 1 to ${MAX_TEXTS} of them`)
  return texts
}
