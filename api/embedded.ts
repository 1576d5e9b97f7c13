/** Parses the answer of a peer to an `embed` request: a vector for each text (docs/files.md, embed). */
import { fail } from '../fs/base/errors.js'
import * as field from './field.js'
import { json } from './text.js'

/**
 * Most characters of the whole answer: the same bound as for the other answers that a cluster reads
 * (orchestrator/members/peer.ts).
 */
const MAX_ANSWER = 64 * 1024 * 1024
/**
 * Most texts of one request, and most numbers of one vector. The embeddings of known models have up to 8,192 numbers.
 */
const MAX_TEXTS = 2_048
const MAX_NUMBERS = 65_536

const embedded = field.object({
  model: field.line(255),
  embeddings: field.list(field.list(field.number(-Number.MAX_VALUE, Number.MAX_VALUE), MAX_NUMBERS), MAX_TEXTS),
})

/** Reads the answer of an `embed`. @throws FsError `bad message` for anything else */
export function parseEmbedded(text: string): field.Of<typeof embedded> {
  try {
    return embedded(json(text, 'answer', MAX_ANSWER, 3), 'answer')
  } catch (error) {
    throw fail('badMessage', (error as Error).message)
  }
}
