/** The members of the cluster: admits peers that join, names them, and removes those that are gone. */

import { FsError, fail, toFsError } from '../../../api/errors.js'
import type { Events } from '../../../api/events.js'
import { plain } from '../../../api/field.js'
import type { Report } from '../../../api/report.js'
import type { Clock } from '../../../fs/base/clock.js'
import { within } from '../../../fs/base/interruptible.js'
import { CONNECTION_BYTES } from '../../../fs/base/limits.js'
import { quote } from '../../../fs/base/quote.js'
import type { User } from '../../../fs/file.js'
import type { Transport } from '../../../fs/transport.js'
import { noSuch } from '../../choices.js'
import type { Budget } from '../../root/budget.js'
import * as limits from '../limits.js'
import type { Changes } from './changes.js'
import type { Ends } from './ends.js'
import type { Hosts } from './hosts.js'
import type { Identities } from './identities.js'
import { Member } from './member.js'
import { Names } from './names.js'
import { Peer } from './peer.js'
import { addressOf, Refusals } from './refusals.js'

/** The user for whom the connections of all joiners count: together they get one user's share of the memory. */
const JOINERS = { name: 'connections of joiners' }

export interface MembershipOptions {
  clock: Clock
  events: Events
  /** Counts the memory that joiners' connections take. */
  budget: Budget
  /** Our own id, our version, and the user of our own requests. */
  id: string
  version: string
  self: User
  hosts: Hosts
  /** Checks that a joiner owns the id that it gives. */
  identities: Identities
  /** Reports what ended workers. The membership tells it which ones join and leave. */
  ends: Ends
  /** Publishes the members that join and leave. */
  changes: Changes
}

/**
 * A member is a worker, or a cluster that joined as one; Hosts keeps the machines. All of this is soft state: it
 * consists of nothing but what the members report when they join and at each heartbeat.
 */
export class Membership {
  readonly members = new Map<string, Member>()
  readonly #o: MembershipOptions
  readonly #names: Names
  readonly #refusals: Refusals
  /** By address, how many joiners are being greeted, and those that wait for their turn. */
  readonly #meetings = new Map<string, { asked: number; waiting: (() => void)[] }>()
  readonly #byId = new Map<string, Member>()
  #closed = false

  constructor(o: MembershipOptions) {
    this.#o = o
    this.#names = new Names(o.clock)
    this.#refusals = new Refusals(o.clock)
  }

  /** Whether a member or a host with this id has joined. */
  has(id: string): boolean {
    return this.#byId.has(id) || this.#o.hosts.has(id)
  }

  /** The ids of this cluster and of all clusters below it. */
  get clusters(): string[] {
    const ids = new Set([this.#o.id])
    for (const { report } of this.members.values()) for (const id of report.clusters) ids.add(id)
    return [...ids]
  }

  /**
   * Admits a peer that has connected to our join endpoint. Never rejects. A refused peer gets the reason and is disconnected.
   */
  async join(transport: Transport): Promise<void> {
    const { clock, self, budget } = this.#o
    if (this.#refusals.waits(transport.name)) return transport.destroy()
    const holding = budget.hold(JOINERS)
    let peer: Peer | undefined
    try {
      holding.grow(CONNECTION_BYTES + (transport.extra ?? 0), true)
      peer = await this.#inTurn(transport.name, async () => {
        // another joiner from this address may have been refused while this one waited for its turn
        if (!this.#refusals.waits(transport.name)) return Peer.meet(transport, clock, self, holding)
        transport.destroy()
        return undefined
      })
    } catch (error) {
      holding.free()
      transport.destroy()
      return this.#refused(transport, toFsError(error))
    }
    if (!peer) return holding.free()
    try {
      if (this.#closed) throw fail('shuttingDown')
      this.#check(peer)
      this.#o.identities.admit(peer.report.id, peer.secret, id => this.has(id))
      if (peer.report.kind === 'host') this.#o.hosts.join(peer)
      else await this.#member(peer)
    } catch (thrown) {
      const error = toFsError(thrown)
      const { id, kind, name } = peer.report
      this.#refused(transport, error, { type: kind, name })
      if (!this.#byId.has(id)) this.#names.left(id)
      const why = plain(error.message, limits.MAX_REASON)
      await this.#promptly(signal => peer.command(`refused ${quote(why)}\n`, signal)).catch(() => undefined)
      peer.close()
    }
  }

  /** Greets a few joiners of one address at a time. A joiner that hangs then holds up only others of its address. */
  async #inTurn<T>(name: string, meet: () => Promise<T>): Promise<T> {
    const address = addressOf(name)
    const meeting = this.#meetings.get(address) ?? { asked: 0, waiting: [] }
    this.#meetings.set(address, meeting)
    if (meeting.asked < limits.MAX_MEETING) meeting.asked++
    else await new Promise<void>(resolve => meeting.waiting.push(resolve))
    try {
      return await meet()
    } finally {
      // pass the turn on to the next joiner
      const next = meeting.waiting.shift()
      if (next) next()
      else if (--meeting.asked === 0) this.#meetings.delete(address)
    }
  }

  /** Logs a refused join, in few words and not too often, and makes the next joiner from that address wait. */
  #refused(transport: Transport, error: FsError, what: { type?: string; name?: string } = {}): void {
    // a connection that breaks proves nothing against the peer at its other end
    const more = this.#refusals.refused(transport.name, !error.is('hungUp'))
    if (!more) return
    const why = plain(error.message, limits.MAX_REASON)
    this.#o.events.add('join-refused', { from: plain(transport.name, 200), ...what, ...more, error: why })
  }

  /**
   * Sends a request that a joining peer must answer before it is admitted, and times out so that a peer that hangs
   * cannot block the join.
   */
  #promptly<T>(ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return within(this.#o.clock, limits.GREETING_MS, undefined, ask, () => fail('interrupted'))
  }

  /** The member of this name. @throws FsError `bad argument` that lists the workers there are */
  member(name: string): Member {
    const member = this.members.get(name)
    if (member) return member
    const known = this.listed.slice(0, 20).map(({ name }) => name)
    throw noSuch('worker', name, known, 'no worker has joined')
  }

  /** The members as they are shown: by number, in whatever order they joined. */
  get listed(): Member[] {
    return [...this.members.values()].sort((a, b) => a.name.length - b.name.length || (a.name < b.name ? -1 : 1))
  }

  /** Removes a member, so that its tasks move to others, and closes its connection. */
  leave(member: Member, why: FsError): void {
    if (member.left) return
    member.left = true
    this.members.delete(member.name)
    if (this.#byId.get(member.id) === member) {
      this.#byId.delete(member.id)
      this.#names.left(member.id)
    }
    this.#o.events.add('worker-left', { worker: member.name, host: this.#o.hosts.nameOf(member), error: why.message })
    this.#o.ends.left(member)
    // published before the requests on the connection that is closed here have failed
    this.#o.changes.changed(member, { left: why })
    member.peer.close()
  }

  close(): void {
    this.#closed = true
    for (const member of [...this.members.values()]) {
      member.left = true
      member.peer.close()
    }
  }

  #check({ report }: Peer): void {
    const major = (version: string) => version.split('.', 1)[0]
    const { version, id } = this.#o
    if (major(report.version) !== major(version))
      throw fail(
        'notSupported',
        `version ${report.version} cannot join a cluster of version ${version}; use the same major version`,
      )
    if (report.id === id || report.clusters.includes(id)) throw ring(report)
  }

  /**
   * Breaks a ring of clusters. Clusters that join one another at the same moment form a ring, for none of them knew of
   * the others when it admitted the next one. The cluster with the least id removes its member at once, so that the
   * others stay joined. Where a cluster outside the ring has the least id, each cluster in the ring removes its member
   * after a few heartbeats.
   * @returns whether this member was removed
   */
  endRing(member: Member): boolean {
    const { id } = this.#o
    const { clusters } = member.report
    if (!clusters.includes(id)) {
      member.ringed = 0
      return false
    }
    const least = clusters.every(other => other >= id)
    if (!least && ++member.ringed < limits.RING_HEARTBEATS) return false
    const error = ring(member.report)
    this.#refused(member.peer.client.transport, error, { type: 'cluster', name: member.report.name })
    void this.#promptly(signal =>
      member.peer.command(`refused ${quote(plain(error.message, limits.MAX_REASON))}\n`, signal),
    )
      .catch(() => undefined)
      .finally(() => this.leave(member, error))
    return true
  }

  async #member(peer: Peer): Promise<void> {
    const { id, boot, kind } = peer.report
    const old = this.#byId.get(id)
    if (!old && this.members.size >= limits.MAX_MEMBERS)
      throw fail('badArgument', `too many workers, at most ${limits.MAX_MEMBERS}`)
    if (old && old.report.boot !== boot && (await this.#answers(old)))
      throw fail('exists', `id ${id} belongs to ${old.name}, which is still running (boot ${old.report.boot})`)
    const name = this.#names.of(id, peer.report.name)
    if (kind === 'worker' && name !== peer.report.name) {
      await this.#promptly(async signal => {
        await peer.command(`name ${name}\n`, signal)
        await peer.refreshStatus(signal)
      })
    }
    // another connection of the same worker may have been admitted in the meantime
    const before = this.#byId.get(id)
    if (before) this.leave(before, fail('hungUp', `${before.name} has joined again`))
    const member = new Member(name, peer)
    this.members.set(name, member)
    this.#byId.set(id, member)
    this.#o.hosts.confirm(member)
    this.#o.ends.joined(member, this.#o.hosts.nameOf(member))
    const { class: kindOf, slots } = peer.report
    this.#o.events.add('worker-joined', {
      worker: name,
      type: kind,
      host: this.#o.hosts.nameOf(member),
      class: kindOf,
      // a cluster's slots come one after another, as its workers get ready: worker-ready has them
      slots: kind === 'worker' ? slots : undefined,
      model: member.model?.name,
    })
    void peer.client.closed.then(reason => this.leave(member, hungUp(reason, name)))
    this.#o.changes.changed(member, { joined: true, reported: true })
  }

  /** Whether a member still answers. A member that takes longer than a second counts as gone. */
  #answers({ peer }: Member): Promise<boolean> {
    return within(this.#o.clock, 1_000, undefined, signal => peer.refreshStatus(signal)).then(
      () => true,
      () => false,
    )
  }
}

/** The error for a cluster that already has ours below it, and so may not join. */
const ring = ({ name }: Report): FsError =>
  fail('badArgument', `cluster ${name} already contains this cluster (clusters=), so joining would form a ring`)

/** The error for a lost connection: with the member's name where there is no reason. */
function hungUp(reason: Error | undefined, name: string): FsError {
  return reason instanceof FsError && reason.is('hungUp') ? reason : fail('hungUp', reason?.message ?? name, reason)
}
