/** The health of the members: who may be given requests, and whose process must be ended. */

import { FsError, fail } from '../../../api/errors.js'
import type { Events } from '../../../api/events.js'
import type { Clock } from '../../../fs/base/clock.js'
import type { User } from '../../../fs/file.js'
import * as limits from '../limits.js'
import type { Change, Changes } from './changes.js'
import { Heartbeats } from './heartbeats.js'
import type { Hosts } from './hosts.js'
import type { Member } from './member.js'
import type { Membership } from './membership.js'
import { Probes } from './probes.js'
import { Quarantine } from './quarantine.js'

export interface HealthOptions {
  clock: Clock
  random: () => number
  events: Events
  changes: Changes
  membership: Membership
  hosts: Hosts
  /** The user of our own requests. */
  self: User
  /** Seconds between heartbeats. May change. */
  settings: { heartbeat_s: number }
}

/** What the parts of the cluster that use the members tell of them, and what follows from it. */
export class Health {
  readonly #o: HealthOptions
  readonly heartbeats: Heartbeats
  readonly quarantine: Quarantine
  readonly #probes: Probes

  constructor(o: HealthOptions) {
    this.#o = o
    const { clock, events, changes, self } = o
    const onHung = (member: Member, why: string) => this.hung(member, why)
    this.#probes = new Probes(clock, events, changes, self, onHung)
    this.heartbeats = new Heartbeats({ ...o, onHung })
    this.quarantine = new Quarantine(clock, events, changes, member => {
      member.ready = false
      member.probeAfter = 0
      this.#probes.probe(member)
    })
  }

  /** A subscriber to changes. */
  changed({ member, joined, left, reported }: Change): void {
    if (left) {
      this.heartbeats.left(member)
      this.quarantine.left(member)
      return
    }
    if (joined) {
      this.quarantine.joined(member)
      this.heartbeats.joined(member)
    }
    if (reported) this.#probes.offer(member)
  }

  /** Whether a member may be chosen now, as far as quarantine and pauses go. */
  allows(member: Member): boolean {
    return this.quarantine.allows(member, this.#o.membership.members.values())
  }

  /** A member's engine does not react any more: its process is ended, and its tasks move to others. */
  hung(member: Member, why: string): void {
    if (member.left) return
    const { events, hosts, membership } = this.#o
    events.add('worker-hung', { worker: member.name, error: why })
    void hosts
      .of(member)
      ?.command(`kill ${member.id}\n`)
      .catch(() => undefined)
    membership.leave(member, fail('hungUp', `${member.name}: ${why}`))
  }

  /** A member violated the protocol, or an answer broke off on it. */
  failed(member: Member, error: Error): void {
    this.#o.events.add('attempt-failed', { worker: member.name, error: error.message })
    if (error instanceof FsError && error.is('upstreamFailed')) this.#probes.doubt(member)
    if (++member.failures >= limits.FAILURES)
      this.quarantine.add(member, `${member.failures} answers in a row broke off`)
  }

  /** A member stands still: it gets no requests until it has answered a probe. */
  still(member: Member): void {
    if (member.still || member.left) return
    member.still = true
    member.ready = false
    this.#o.events.add('worker-suspect', { worker: member.name, error: 'it stands still in the middle of its answers' })
    this.#o.changes.changed(member)
  }

  /** A member refused a prompt that we expected it to take: it counts as full until its status is here. */
  refused(member: Member): void {
    member.externalActive = member.report.slots
    this.#o.changes.changed(member)
    this.heartbeats.refresh(member)
  }

  /** A load or an unload on a member is over: its model must answer a probe before it gets requests. */
  reloaded(member: Member): void {
    member.ready = false
    this.heartbeats.refresh(member)
  }

  close(): void {
    this.heartbeats.close()
  }
}
