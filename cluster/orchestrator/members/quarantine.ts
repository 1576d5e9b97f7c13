/** Members that get no requests for a while: those that failed too often, and those that asked for a pause. */

import type { Events } from '../../../api/events.js'
import type { Clock } from '../../../fs/base/clock.js'
import * as limits from '../limits.js'
import type { Changes } from './changes.js'
import type { Member } from './member.js'

/** How often a worker has joined lately, and how many quarantines in a row that has earned it. */
interface Coming {
  times: number[]
  quarantines: number
}

export class Quarantine {
  /** The members in quarantine. */
  readonly members = new Set<Member>()
  readonly #comings = new Map<string, Coming>()

  constructor(
    readonly clock: Clock,
    readonly events: Events,
    readonly changes: Changes,
    /** Called when a quarantine is over: the member must answer a probe before it gets requests. */
    readonly onEnd: (member: Member) => void,
  ) {}

  /** A member has joined. A worker that keeps rejoining is quarantined, each time for longer. */
  joined(member: Member): void {
    const now = this.clock.now()
    const coming = this.#comings.get(member.id) ?? { times: [], quarantines: 0 }
    coming.times = [...coming.times.filter(time => now - time < limits.FLAP_WINDOW_MS), now]
    this.#comings.delete(member.id)
    this.#comings.set(member.id, coming)
    if (this.#comings.size > limits.MAX_NAMES) this.#comings.delete(this.#comings.keys().next().value!)
    if (coming.times.length <= limits.FLAPS) {
      if (coming.times.length === 1) coming.quarantines = 0
      return
    }
    member.quarantines = coming.quarantines
    this.add(member, `joined ${coming.times.length} times within a minute`)
    coming.quarantines = member.quarantines
  }

  left(member: Member): void {
    this.members.delete(member)
  }

  /** Quarantines a member: for a while, and until it then answers a probe, it gets requests only as `allows` says. */
  add(member: Member, why: string): void {
    const pause = Math.min(limits.ASIDE_MS * ++member.quarantines, limits.MOST_ASIDE_MS)
    const until = this.clock.now() + pause
    member.quarantinedUntil = until
    member.failures = 0
    member.quarantined = true
    this.members.add(member)
    this.events.add('worker-quarantined', { worker: member.name, seconds: pause / 1000, error: why })
    this.changes.changed(member)
    const end = () => {
      // a timer may fire a millisecond early, so time does not tell: only a newer quarantine replaces this one
      if (member.left || member.quarantinedUntil !== until) return
      member.quarantined = false
      this.members.delete(member)
      this.onEnd(member)
    }
    this.clock.after(pause, end, true)
  }

  /** A member has given a whole answer: what went wrong before no longer counts. */
  good(member: Member): void {
    member.failures = 0
    member.quarantines = 0
    const coming = this.#comings.get(member.id)
    if (coming) coming.quarantines = 0
  }

  /** Gives a member no requests for as long as it asked. */
  pause(member: Member, ms: number, error: Error): void {
    member.pausedUntil = Math.max(member.pausedUntil, this.clock.now() + ms)
    member.pausedWhy = error
    this.events.add('worker-paused', { worker: member.name, seconds: Math.ceil(ms / 1000), error: error.message })
    this.changes.changed(member)
    this.clock.after(ms, () => this.changes.changed(member), true)
  }

  /**
   * Whether a member may be chosen: it is not paused, and not in quarantine unless no other member serves its model.
   * @param all every member of the cluster
   */
  allows(member: Member, all: Iterable<Member>): boolean {
    const now = this.clock.now()
    const free = ({ quarantinedUntil, pausedUntil }: Member) => quarantinedUntil <= now && pausedUntil <= now
    if (member.pausedUntil > now) return false
    if (free(member)) return true
    const name = member.model?.name
    for (const other of all)
      if (other !== member && other.model?.name === name && other.serving && free(other)) return false
    return true
  }
}
