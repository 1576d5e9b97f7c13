/** Watches the attempts on all members: finds those that are silent for too long, and members that stand still. */

import type { Cancel, Clock } from '../../../fs/base/clock.js'
import * as limits from '../limits.js'
import type { Member } from '../members/member.js'
import { pulse } from '../members/pulse.js'
import type { Attempt } from './attempt.js'

/** An attempt, as far as its patience depends on it. */
export interface Waiting {
  /** Whether it has given tokens. */
  readonly producedTokens: boolean
  /** Characters of its prompt. */
  readonly size: number
  /** Tasks before it in the worker's own queue. */
  readonly position: number
  /** Clusters between us and the engine: each takes as long to find a hung worker, and then tries another. */
  readonly clusters: number
  /** How long the worker's upstream may say nothing, in s; 0: the worker makes the text itself. */
  readonly patience_s: number
}

/** How long an attempt may be silent before it counts as lost, in ms, whatever else its worker does. */
export function patience({ producedTokens, size, position, clusters, patience_s }: Waiting): number {
  const prefill = limits.PREFILL_SILENCE_MS + size * limits.PREFILL_SILENCE_PER_CHARACTER_MS
  const waits = position > 0 ? limits.TOKEN_SILENCE_MS : 0
  const silence = producedTokens ? limits.TOKEN_SILENCE_MS : prefill + waits
  const own = clusters > 0 ? (1 + clusters) * Math.max(silence, prefill) : silence
  return Math.max(own, patience_s * 1000)
}

/** How long all attempts of a worker may be silent before it counts as standing still, in ms. @param expected of `Pace` */
export const stillAfter = (expected: number): number => limits.STILL_MS + limits.STILL_FACTOR * expected

export interface WatchdogOptions {
  clock: Clock
  /** The members that run attempts, each with its attempts. */
  running: ReadonlyMap<Member, ReadonlySet<Attempt>>
  /** An attempt has been silent for so many ms that it counts as lost. */
  onSilent(attempt: Attempt, ms: number): void
  /** Members that stand still. */
  onStill(members: readonly Member[]): void
}

export class Watchdog {
  readonly #o: WatchdogOptions
  readonly #stop: Cancel

  constructor(o: WatchdogOptions) {
    this.#o = o
    const period = limits.WATCH_MS
    this.#stop = pulse(
      o.clock,
      period,
      () => period,
      slept => slept || this.#watch(),
    )
  }

  close(): void {
    this.#stop()
  }

  #watch(): void {
    const { clock, running, onStill } = this.#o
    const now = clock.now()
    for (const attempts of [...running.values()]) for (const attempt of [...attempts]) this.#judge(attempt, now)
    const still = [...running].filter(([member, attempts]) => standsStill(member, attempts, now))
    if (still.length > 0) onStill(still.map(([member]) => member))
  }

  #judge(attempt: Attempt, now: number): void {
    const { producedTokens, position, task, member, heard } = attempt
    const { clusters, patience_s } = member.report
    const ms = patience({ producedTokens, size: task.size, position, clusters: clusters.length, patience_s })
    if (now - heard >= ms) this.#o.onSilent(attempt, ms)
  }
}

/** Whether a member makes the text itself, has no other user, and is silent in all its answers. */
function standsStill(member: Member, attempts: ReadonlySet<Attempt>, now: number): boolean {
  if (member.remote || member.report.kind === 'cluster' || member.externalActive > 0) return false
  return [...attempts].every(({ producedTokens, position, task, heard }) => {
    const expected = position > 0 ? undefined : member.pace.expected(producedTokens ? undefined : task.size)
    return expected !== undefined && now - heard >= stillAfter(expected)
  })
}
