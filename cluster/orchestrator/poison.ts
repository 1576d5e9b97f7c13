import { createHash } from 'node:crypto'
import type { Clock } from '../../fs/clock.js'
import { fail } from '../../fs/errors.js'
import type { Request } from '../root/request.js'
import { MAX_POISONS, POISON_MS } from './limits.js'

/** Deaths of a worker by its own hand (an abort, a bad address) that make what it was doing poison. */
export const DEADLY = 2
/** Signals by which a process ends itself; being killed says nothing of what it was doing. */
export const ownSignals: readonly string[] = ['SIGABRT', 'SIGSEGV', 'SIGBUS']

/** Contents that have ended workers, and are given to no other for a while. */
export class Poisons {
  /** By the content's digest, until when. */
  readonly #until = new Map<string, number>()

  constructor(readonly clock: Clock) {}

  add(request: Request): void {
    this.#until.set(digestOf(request), this.clock.now() + POISON_MS)
    if (this.#until.size > MAX_POISONS) this.#until.delete(this.#until.keys().next().value!)
  }

  /** @throws FsError for a content that is refused */
  check(request: Request): void {
    if (this.#until.size === 0) return
    const digest = digestOf(request)
    const until = this.#until.get(digest)
    if (until === undefined) return
    if (until > this.clock.now()) throw poison()
    this.#until.delete(digest)
  }
}

export const poison = (): Error => fail('poison', DEADLY)

function digestOf({ model, generate: { messages, prompt, schema, tools } }: Request): string {
  return createHash('sha256')
    .update(JSON.stringify([model, messages, prompt, schema, tools]))
    .digest('base64')
}
