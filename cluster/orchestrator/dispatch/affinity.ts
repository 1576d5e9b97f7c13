/** Guesses which worker has the beginning of a prompt in its KV cache. */
import { hash } from 'node:crypto'
import type { Request } from '../../../api/request.js'

/** Prefixes that are remembered: each takes some hundred bytes. */
const MAX_PREFIXES = 20_000
/** Characters that a prefix must have: the cache of a shorter one saves no noticeable time. */
const LEAST = 200

/**
 * A key for each prefix of a request, shortest first: the hash of its last message and of the prefix before it. A
 * prefix that is too short has an empty key.
 */
function chain(request: Request, answer?: string): string[] {
  const { messages, prompt } = request.generate
  const texts = messages
    ? messages.map(m => `${m.role}\0${m.content}`)
    : // raw text has no messages: it is cut so that each prefix is twice as long as the one before
      pieces(prompt ?? '')
  if (answer !== undefined && messages) texts.push(`assistant\0${answer}`)
  // most small requests end here, without a hash
  if (texts.reduce((length, text) => length + text.length, 0) < LEAST) return []
  const keys: string[] = []
  let key = ''
  let length = 0
  for (const text of texts) {
    key = hash('sha1', `${key}\0${text}`, 'base64')
    length += text.length
    keys.push(length >= LEAST ? key : '')
  }
  return keys
}

function pieces(prompt: string): string[] {
  const out: string[] = []
  for (let at = 0, size = 1024; at < prompt.length; at += size, size = at) out.push(prompt.slice(at, at + size))
  return out
}

/**
 * Remembers which worker last answered each prefix of a conversation, and so probably has it in its KV cache. A wrong
 * guess costs only the time of a prefill.
 */
export class Affinity<W> {
  readonly #workers = new Map<string, W>()
  readonly #sessions = new Map<string, W>()

  /** The worker that the session was last on, or else the one with the longest prefix of this request. */
  find(request: Request, session: string | undefined): W | undefined {
    const bySession = session === undefined ? undefined : this.#sessions.get(session)
    if (bySession) return bySession
    if (this.#workers.size === 0) return undefined
    for (const key of chain(request).reverse()) {
      const worker = key && this.#workers.get(key)
      if (worker) return worker
    }
    return undefined
  }

  /** A worker has answered a request. */
  note(request: Request, session: string | undefined, answer: string, worker: W): void {
    if (session !== undefined) remember(this.#sessions, session, worker)
    for (const key of chain(request, answer)) if (key) remember(this.#workers, key, worker)
  }

  /** Forgets a worker that is gone, and its cache with it. */
  forget(worker: W): void {
    for (const map of [this.#workers, this.#sessions])
      for (const [key, value] of map) if (value === worker) map.delete(key)
  }
}

function remember<W>(map: Map<string, W>, key: string, worker: W): void {
  map.delete(key)
  map.set(key, worker)
  if (map.size > MAX_PREFIXES) map.delete(map.keys().next().value!)
}
