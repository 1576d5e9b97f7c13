/** What a peer answers to an `embed`: a vector for each text (docs/files.md, embed). */
import { fail } from '../fs/errors.js'
import * as field from './field.js'
import { json } from './text.js'

/** Most characters of the whole answer: as long as an answer of any other kind that a cluster reads (orchestrator/peer.ts). */
const MAX_ANSWER = 64 * 1024 * 1024
/** Most texts of one request, and most numbers of one vector: embeddings of known models have up to 8,192. */
const MAX_TEXTS = 2_048
const MAX_NUMBERS = 65_536

const embedded = field.object({
  model: field.line(255),
  embeddings: field.list(field.list(field.number(-Number.MAX_VALUE, Number.MAX_VALUE), MAX_NUMBERS), MAX_TEXTS),
})

/** @throws FsError `bad message` for what is no such answer */
export function parseEmbedded(text: string): field.Of<typeof embedded> {
  try {
    return embedded(json(text, 'its answer', MAX_ANSWER, 3), 'its answer')
  } catch (error) {
    throw fail('badMessage', (error as Error).message)
  }
}
