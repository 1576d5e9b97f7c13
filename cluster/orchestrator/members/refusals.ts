/** Makes joiners wait whose address has had a join refused. */
import type { Clock } from '../../../fs/base/clock.js'
import * as limits from '../limits.js'

/** The refused joins of one address. */
interface Record {
  times: number
  /** Until when, by the clock, connections from there are closed unread. */
  until: number
  /** Connections that were closed unread in that time. */
  unheard: number
}

/**
 * Each refusal doubles the time for which connections from the same address are closed before anything is read from
 * them. Connections over this machine's own socket have no address and never wait.
 */
export class Refusals {
  readonly #byAddress = new Map<string, Record>()
  /** When, by the clock, refusals were logged in the last minute: from all addresses together at most MAX_TOLD. */
  #told: number[] = []
  /** Refusals since the last logged one that were not logged. */
  #untold = 0

  constructor(readonly clock: Clock) {}

  /**
   * Whether a connection must be closed unread; counts it if so.
   * @param name the transport's
   */
  waits(name: string): boolean {
    const known = this.#byAddress.get(addressOf(name))
    if (!known || known.until <= this.clock.now()) return false
    known.unheard++
    return true
  }

  /**
   * Records a refused join.
   * @param name the transport's
   * @param counts whether it makes the next connections from the same address wait
   * @returns attributes for its event: `wait_s`, for how long connections from there are closed; `unheard`, how many
   *   were closed in the pause before; `untold`, how many refusals were not logged. undefined: this one must not be
   *   logged, there were too many within a minute
   */
  refused(name: string, counts: boolean): { wait_s?: number; unheard?: number; untold?: number } | undefined {
    const wait = counts ? this.#wait(addressOf(name)) : {}
    const now = this.clock.now()
    this.#told = this.#told.filter(time => now - time < limits.TOLD_WINDOW_MS)
    if (this.#told.length >= limits.MAX_TOLD) {
      this.#untold++
      return undefined
    }
    this.#told.push(now)
    const untold = this.#untold
    this.#untold = 0
    return { ...wait, ...(untold > 0 && { untold }) }
  }

  #wait(address: string): { wait_s?: number; unheard?: number } {
    if (address === '') return {}
    const now = this.clock.now()
    const before = this.#byAddress.get(address)
    const times = before && now - before.until < limits.REFUSED_MS ? before.times + 1 : 1
    const ms = Math.min(limits.REFUSED_PAUSE_MS * 2 ** (times - 1), limits.MOST_REFUSED_PAUSE_MS)
    this.#byAddress.delete(address)
    this.#byAddress.set(address, { times, until: now + ms, unheard: 0 })
    if (this.#byAddress.size > limits.MAX_REFUSED) this.#byAddress.delete(this.#byAddress.keys().next().value!)
    return { wait_s: ms / 1000, ...(before && before.unheard > 0 && { unheard: before.unheard }) }
  }
}

/** The address in a transport's name: 10.0.0.7 of `tcp!10.0.0.7!43210`. Empty for this machine's own socket. */
export function addressOf(name: string): string {
  const [kind, address = ''] = name.split('!')
  return kind === 'ws' || kind === 'tcp' ? address.replace(/^::ffff:/, '') : ''
}
