import type { Clock } from '../../fs/clock.js'
import * as limits from './limits.js'

/** What is known of the joiners of one address that were not let in. */
interface Record {
  times: number
  /** Until when nobody is met from there, by the clock. */
  until: number
  /** Connections that were closed unheard in that time. */
  unheard: number
}

/**
 * Has joiners that are refused wait: each refusal doubles the time in which a connection from the same address is closed before anything
 * is read from it. Connections of this machine's own socket have no address, and are always met.
 */
export class Refusals {
  readonly #byAddress = new Map<string, Record>()
  /** When the last were told, by the clock: in all no more than MAX_TOLD a minute are. */
  #told: number[] = []
  #untold = 0

  constructor(readonly clock: Clock) {}

  /** Whether a connection from there is to be closed unheard. */
  waits(name: string): boolean {
    const known = this.#byAddress.get(addressOf(name))
    if (!known || known.until <= this.clock.now()) return false
    known.unheard++
    return true
  }

  /**
   * One from there has been refused.
   * @param counts whether the next from there are to wait for that
   * @returns what its event says besides why: for how long nobody is met from there, in s, and how many were not told; undefined where it
   *   is not told, since too many were within a minute
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

/** The machine that a connection comes from, of its name: `tcp!10.0.0.7!43210` is 10.0.0.7. Empty for one of this machine's own. */
export function addressOf(name: string): string {
  const [kind, address = ''] = name.split('!')
  return kind === 'ws' || kind === 'tcp' ? address.replace(/^::ffff:/, '') : ''
}
