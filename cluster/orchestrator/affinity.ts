import { createHash } from 'node:crypto'
import type { Request } from '../root/request.js'

/** Prefixes that are remembered: each costs some hundred bytes. */
const MAX_PREFIXES = 20_000
/** Characters of a prefix below which its cache saves nothing that could be noticed. */
const LEAST = 200

/** The state of one conversation's beginnings, each message's hash made from that of those before it. */
function chain(request: Request, answer?: string): string[] {
  const { messages, prompt } = request.generate
  const texts = messages
    ? messages.map(m => `${m.role}\0${m.content}`)
    : // raw text has no messages: its beginnings are pieces of doubling length
      pieces(prompt ?? '')
  if (answer !== undefined && messages) texts.push(`assistant\0${answer}`)
  const keys: string[] = []
  let hash = ''
  let length = 0
  for (const text of texts) {
    hash = createHash('sha1').update(hash).update('\0').update(text).digest('base64')
    length += text.length
    keys.push(length >= LEAST ? hash : '')
  }
  return keys
}

function pieces(prompt: string): string[] {
  const out: string[] = []
  for (let at = 0, size = 1024; at < prompt.length; at += size, size = at) out.push(prompt.slice(at, at + size))
  return out
}

/**
 * Which worker has what prompt in its KV cache: the worker that has answered each beginning of a conversation last. It is a
 * guess, and costs only the time of a prefill where it is wrong.
 */
export class Affinity<W> {
  readonly #workers = new Map<string, W>()
  readonly #sessions = new Map<string, W>()

  /** The worker with the longest beginning of this request, or the one its session was on. */
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

  /** A worker is gone, and its cache with it. */
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
