/** What ended each worker's process. Hosts report that by `boot`; the cluster shows it under the worker's name. */
import type { Events } from '../../../api/events.js'
import type { Exit } from '../../../api/exit.js'
import { plain } from '../../../api/field.js'
import type { Clock } from '../../../fs/base/clock.js'
import { MAX_ENDED, MAX_ENDS, OBITUARY_MS } from '../limits.js'
import type { Member } from './member.js'

interface Start {
  readonly member: Member
  /** The name of its machine in the tree. */
  readonly host: string
}

/**
 * How workers' processes ended, as their hosts report it. A host may report an end before or after the cluster sees the
 * connection break, so a worker that has left is remembered for a minute.
 */
export class Ends {
  /** By `boot`, the workers that run or have just left. */
  readonly #starts = new Map<string, Start>()
  /** By the worker's id, what ended the process before the current one. */
  readonly #why = new Map<string, string>()

  constructor(
    readonly clock: Clock,
    readonly events: Events,
  ) {}

  /** A worker has joined. @param host the name of its machine in the tree */
  joined(member: Member, host: string): void {
    put(this.#starts, member.report.boot, { member, host })
  }

  /** A worker's connection is gone. */
  left({ report: { boot } }: Member): void {
    const start = this.#starts.get(boot)
    const forget = () => {
      // the same process may have joined again
      if (this.#starts.get(boot) === start) this.#starts.delete(boot)
    }
    this.clock.after(OBITUARY_MS, forget, true)
  }

  /**
   * A host reports how a worker's process ended. It is believed about its own workers only, and once for each process.
   */
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

  /** What ended a worker's process before the current one; undefined if nothing did, or its host has not said. */
  why({ id }: Member): string | undefined {
    return this.#why.get(id)
  }
}

function put<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key)
  map.set(key, value)
  if (map.size > MAX_ENDS) map.delete(map.keys().next().value!)
}
