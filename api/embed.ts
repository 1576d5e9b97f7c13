/** The requests of `embed`, which clients write and servers parse, and their answers: a vector for each text (docs/files.md#embed). */
import { fail } from '../fs/base/errors.js'
import { MAX_DEPTH } from './conversation.js'
import * as field from './field.js'
import { json, jsonArgument } from './text.js'
import type { Written } from './written.js'

/**
 * Most characters of the whole answer: the same bound as for the other answers that a cluster reads
 * (orchestrator/members/peer.ts).
 */
const MAX_ANSWER = 64 * 1024 * 1024
/** Most texts of one request that a server takes, and most vectors of one answer: another server may take more. */
const MAX_TEXTS = 512
const MAX_VECTORS = 2_048
/** Most numbers of one vector. The embeddings of known models have up to 8,192. */
const MAX_NUMBERS = 65_536

const body = field.exact({
  input(value): string[] {
    const texts: unknown = typeof value === 'string' ? [value] : value
    if (
      Array.isArray(texts) &&
      texts.length > 0 &&
      texts.length <= MAX_TEXTS &&
      texts.every(t => typeof t === 'string')
    )
      return texts
    throw new field.Unfit('input', `expected a text, or a list of 1 to ${MAX_TEXTS} texts`)
  },
  /** The model to use: vectors of different models cannot be compared. */
  model(value): string | undefined {
    if (value === undefined || typeof value === 'string') return value
    throw new field.Unfit('model', 'expected a name')
  },
})

/** A parsed request. */
export type EmbedRequest = field.Of<typeof body>

/** Formats a request, for `embed`. */
export const embedText = (request: Written<EmbedRequest>): string => JSON.stringify(request)

/**
 * Parses a request of `embed`: `{"input": "text"}` or `{"input": ["text", …]}`, with an optional `model`. The answer is
 * `{"model": NAME, "embeddings": [[…], …]}`, one vector per text.
 * @throws FsError `bad argument` for anything else
 */
export function parseEmbedRequest(text: string): EmbedRequest {
  return field.argument(body, jsonArgument(text, 'request', MAX_DEPTH), 'request')
}

const embedded = field.object({
  model: field.line(255),
  embeddings: field.list(field.list(field.number(-Number.MAX_VALUE, Number.MAX_VALUE), MAX_NUMBERS), MAX_VECTORS),
})

/** The answer of an `embed`. */
export type Embedded = field.Of<typeof embedded>

/** Reads the answer of an `embed`. @throws FsError `bad message` for anything else */
export function parseEmbedded(text: string): Embedded {
  try {
    return embedded(json(text, 'answer', MAX_ANSWER, 3), 'answer')
  } catch (error) {
    throw fail('badMessage', (error as Error).message)
  }
}
