/** What ended each worker, under the worker's name in the cluster: its host says it by the worker's start. */
import type { Exit } from '../../api/exit.js'
import { plain } from '../../api/field.js'
import type { Clock } from '../../fs/clock.js'
import type { Feed } from '../../fs/kit/feed.js'
import { MAX_ENDED, MAX_ENDS, OBITUARY_MS } from './limits.js'
import type { Member } from './member.js'

interface Start {
  readonly member: Member
  /** What its machine is called in the tree. */
  readonly host: string
}

/**
 * The ends of workers, as their hosts tell them. A host may tell an end before the cluster sees the connection break, or after it: a
 * worker that has left is remembered for a minute.
 */
export class Ends {
  /** By the start's `boot`, the workers that run or ran a moment ago. */
  readonly #starts = new Map<string, Start>()
  /** By the worker's id, what ended the process before the one that runs. */
  readonly #why = new Map<string, string>()

  constructor(
    readonly clock: Clock,
    readonly events: Feed,
  ) {}

  /** A worker has joined. @param host what its machine is called in the tree */
  joined(member: Member, host: string): void {
    put(this.#starts, member.report.boot, { member, host })
  }

  /** A worker's connection is gone. */
  left({ report: { boot } }: Member): void {
    const start = this.#starts.get(boot)
    const forget = () => {
      // the same start of it may have joined again
      if (this.#starts.get(boot) === start) this.#starts.delete(boot)
    }
    this.clock.after(OBITUARY_MS, forget, true)
  }

  /** A host says how a worker ended. It speaks of its own workers only, and of each start once. */
  told(host_id: string, { boot, signal, code, cause, error }: Exit): void {
    const start = this.#starts.get(boot)
    if (!start || start.member.report.host_id !== host_id) return
    this.#starts.delete(boot)
    if (cause === 'stopped') return
    const { member, host } = start
    const how = signal === undefined ? `ended with code ${code}` : `ended by ${signal}`
    const why = error === undefined ? how : error.startsWith(how) ? error : `${how}: ${error}`
    put(this.#why, member.id, plain(why, MAX_ENDED))
    this.events.add('worker-ended', { worker: member.name, host, signal, code, error: why })
  }

  /** What ended a worker's process before the one that runs; undefined: nothing did, or its host has not said. */
  why({ id }: Member): string | undefined {
    return this.#why.get(id)
  }
}

function put<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key)
  map.set(key, value)
  if (map.size > MAX_ENDS) map.delete(map.keys().next().value!)
}
