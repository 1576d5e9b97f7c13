/** Heartbeats: reads the status of each member again and again, and notices members that no longer answer. */

import { fail, toFsError } from '../../../api/errors.js'
import { type Events, type Kind, parseEvent } from '../../../api/events.js'
import { MAX_EVENT } from '../../../api/exit.js'
import { Lines } from '../../../api/text.js'
import { type Cancel, type Clock, sleep } from '../../../fs/base/clock.js'
import type { User } from '../../../fs/file.js'
import { OREAD } from '../../../fs/wire/protocol.js'
import * as limits from '../limits.js'
import type { Changes } from './changes.js'
import type { Member } from './member.js'
import type { Membership } from './membership.js'
import { pulse } from './pulse.js'

/** The events of a member after which it may have a model. */
const loads: readonly Kind[] = ['loaded', 'load-failed', 'worker-ready']

export interface HeartbeatsOptions {
  clock: Clock
  random: () => number
  events: Events
  changes: Changes
  membership: Membership
  /** The user of our own requests. */
  self: User
  /** Seconds between heartbeats. May change. */
  settings: { heartbeat_s: number }
  /** Called for a member whose engine does not react any more. */
  onHung(member: Member, why: string): void
}

export class Heartbeats {
  readonly #o: HeartbeatsOptions
  readonly #beats = new Map<Member, Cancel>()

  constructor(o: HeartbeatsOptions) {
    this.#o = o
  }

  /** A member has joined. */
  joined(member: Member): void {
    this.#begin(member)
    void this.#untilModel(member).catch(() => undefined)
  }

  left(member: Member): void {
    this.#beats.get(member)?.()
    this.#beats.delete(member)
  }

  /** Restarts all heartbeats after their interval has changed. */
  retime(): void {
    for (const [member, cancel] of this.#beats) {
      cancel()
      this.#begin(member)
    }
  }

  close(): void {
    for (const cancel of this.#beats.values()) cancel()
  }

  #begin(member: Member): void {
    const { clock, settings, random } = this.#o
    const period = () => settings.heartbeat_s * 1000
    const beat = (slept: boolean) => {
      if (!member.peer.refreshing) return this.refresh(member)
      if (!slept) this.#missed(member)
    }
    // spread out, so that not all members are asked at once
    this.#beats.set(member, pulse(clock, random() * period(), period, beat))
  }

  #missed(member: Member): void {
    const { events, changes, membership } = this.#o
    member.missed++
    if (member.missed === limits.SUSPECT_AFTER) {
      events.add('worker-suspect', { worker: member.name, missed: member.missed })
      member.ready = false
      changes.changed(member)
    }
    if (member.missed >= limits.DEAD_AFTER)
      membership.leave(member, fail('hungUp', `${member.name} missed ${member.missed} heartbeats`))
  }

  /** Reads a member's status now, besides its heartbeats. */
  refresh(member: Member): void {
    void this.#refresh(member)
  }

  async #refresh(member: Member): Promise<void> {
    const { changes, membership, onHung } = this.#o
    const before = member.running - member.given
    try {
      await member.peer.refreshStatus()
    } catch (error) {
      // a lost connection ends the membership by itself; a member with an invalid status is removed here
      if (toFsError(error).is('badMessage')) membership.leave(member, toFsError(error))
      return
    }
    if (member.left) return
    member.missed = 0
    if (membership.endRing(member)) return
    const { stuck } = member.report
    // only the end of the process frees such a slot
    if (stuck > 0) return onHung(member, `${stuck} of its answers did not stop when cancelled`)
    // `active` may include exchanges that we gave it while we waited for its status
    const ours = before + member.given
    member.externalActive = Math.max(0, member.report.active - ours)
    changes.changed(member, { reported: true })
  }

  /** Follows the events of a member until it has a model, to know that at once and not at the next heartbeat. */
  async #untilModel(member: Member): Promise<void> {
    if (member.model) return
    const { clock, self } = this.#o
    const root = await member.peer.as(self)
    const { fid } = await root.ask(['event'], fid => fid.open(OREAD))
    try {
      const lines = new Lines('events', MAX_EVENT)
      for (let at = 0; !member.left && !member.model; ) {
        const piece = await fid.read(at, 16 * 1024)
        if (piece.length === 0) return
        at += piece.length
        const kinds = lines.take(piece).map(line => parseEvent(line)?.known?.kind)
        const loaded = loads.some(kind => kinds.includes(kind))
        if (loaded) await this.#refresh(member)
        await sleep(clock, loaded ? limits.REFRESH_PAUSE_MS : limits.EVENTS_PAUSE_MS, undefined, true)
      }
    } finally {
      fid.drop()
    }
  }
}
