/** Poison requests: the cluster refuses for a while what has crashed several workers. */

import { createHash } from 'node:crypto'
import { fail } from '../../../api/errors.js'
import type { Request } from '../../../api/request.js'
import type { Clock } from '../../../fs/base/clock.js'
import { MAX_POISONS, POISON_MS } from '../limits.js'

/** Crashes of workers (an abort, a bad address) that make the request they were running poison. */
export const CRASH_LIMIT = 2
/**
 * Signals that a crash raises in the process itself. A process that somebody else kills says nothing about what it was
 * running.
 */
export const crashSignals: readonly string[] = ['SIGABRT', 'SIGSEGV', 'SIGBUS']

/** Requests that have crashed workers. Requests with the same content count as the same. */
export class PoisonList {
  /** By the digest of the content, until when it is refused, by the clock. */
  readonly #until = new Map<string, number>()

  constructor(readonly clock: Clock) {}

  add(request: Request): void {
    this.#until.set(digestOf(request), this.clock.now() + POISON_MS)
    if (this.#until.size > MAX_POISONS) this.#until.delete(this.#until.keys().next().value!)
  }

  /** @throws FsError `request ended 2 workers` for a request that is refused */
  check(request: Request): void {
    if (this.#until.size === 0) return
    const digest = digestOf(request)
    const until = this.#until.get(digest)
    if (until === undefined) return
    if (until > this.clock.now()) throw poison()
    this.#until.delete(digest)
  }
}

export const poison = (): Error => fail('poison', CRASH_LIMIT)

function digestOf({ model, generate: { messages, prompt, schema, tools } }: Request): string {
  return createHash('sha256')
    .update(JSON.stringify([model, messages, prompt, schema, tools]))
    .digest('base64')
}
