/** A timer that beats again and again, and knows when this process was suspended. */

import type { Cancel, Clock } from '../../../fs/base/clock.js'

/**
 * Calls `beat` after `first` ms, and then after each period.
 * @param period_ms the period as it is then: it may change
 * @param beat gets whether this process was suspended (SIGSTOP, a laptop's lid) or busy for a period: what others sent
 *   meanwhile has not been read yet, and their silence says nothing
 */
export function pulse(clock: Clock, first: number, period_ms: () => number, beat: (slept: boolean) => void): Cancel {
  let due = clock.now() + first
  let cancel: Cancel
  const next = () => {
    const now = clock.now()
    const period = period_ms()
    const slept = now - due > period
    due = now + period
    cancel = clock.after(period, next, true)
    beat(slept)
  }
  cancel = clock.after(first, next, true)
  return () => cancel()
}
