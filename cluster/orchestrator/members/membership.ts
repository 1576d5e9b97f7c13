/** The members of the cluster: admits peers that join, watches their health, and removes those that are gone. */

import { parseAnswerEvent } from '../../../api/answer.js'
import { FsError, fail, received, toFsError } from '../../../api/errors.js'
import { plain, Unfit } from '../../../api/field.js'
import type { Report } from '../../../api/report.js'
import { type Cancel, type Clock, deadline, sleep } from '../../../fs/base/clock.js'
import { CONNECTION_BYTES } from '../../../fs/base/limits.js'
import { quote } from '../../../fs/base/quote.js'
import type { User } from '../../../fs/file.js'
import type { EventLog } from '../../../fs/kit/event-log.js'
import type { Transport } from '../../../fs/transport.js'
import { OREAD } from '../../../fs/wire/protocol.js'
import { noSuch } from '../../choices.js'
import type { Budget } from '../../root/budget.js'
import * as limits from '../limits.js'
import type { Ends } from './ends.js'
import type { Hosts } from './hosts.js'
import type { Identities } from './identities.js'
import { Member } from './member.js'
import { Names } from './names.js'
import { Peer } from './peer.js'
import { addressOf, Refusals } from './refusals.js'

/** The probe: a prompt that a worker must answer before it gets others. */
const PING = { messages: [{ role: 'user', content: 'ping' }], max_tokens: 1, priority: 10 }

/** The user for whom the connections of all joiners count: together they get one user's share of the memory. */
const JOINERS = { name: 'connections of joiners' }

/** Callbacks of the membership. */
export interface MembershipDeps {
  /** Whether or how a member can be routed to may have changed. */
  changed(member: Member): void
  /** A member is gone: its tasks must move to others. */
  lost(member: Member, error: Error): void
  /** A member has reported its status, and with it which exchanges of ours it still has. */
  refreshed(member: Member): void
  /** A member's engine does not react any more: its process must be ended. */
  hung(member: Member, why: string): void
}

export interface MembershipOptions {
  clock: Clock
  random: () => number
  events: EventLog
  /** Counts the memory that joiners' connections take. */
  budget: Budget
  /** Our own id, our version, and the user of our own requests. */
  id: string
  version: string
  self: User
  /** Seconds between heartbeats. May change. */
  settings: { heartbeat_s: number }
  hosts: Hosts
  /** Checks that a joiner owns the id that it gives. */
  identities: Identities
  /** Reports what ended workers. The membership tells it which ones join and leave. */
  ends: Ends
  on: MembershipDeps
}

/**
 * A member is a worker, or a cluster that joined as one; Hosts keeps the machines. All of this is soft state: it
 * consists of nothing but what the members report when they join and at each heartbeat.
 */
export class Membership {
  readonly members = new Map<string, Member>()
  /** Members in quarantine. */
  readonly quarantined = new Set<Member>()
  readonly #o: MembershipOptions
  readonly #names: Names
  readonly #refusals: Refusals
  /** By address, how many joiners are being greeted, and those that wait for their turn. */
  readonly #meetings = new Map<string, { asked: number; waiting: (() => void)[] }>()
  readonly #byId = new Map<string, Member>()
  readonly #beats = new Map<Member, Cancel>()
  /** By id, when a worker has joined lately, and how many quarantines in a row that has earned it. */
  readonly #comings = new Map<string, { times: number[]; quarantines: number }>()
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
      this.#o.identities.admit(peer.report.id, peer.secret)
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
  async #promptly<T>(ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const late = deadline(this.#o.clock, limits.GREETING_MS, () => fail('interrupted'))
    try {
      return await ask(late.signal)
    } finally {
      late.cancel()
    }
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
    this.#beats.get(member)?.()
    this.#beats.delete(member)
    this.members.delete(member.name)
    this.quarantined.delete(member)
    if (this.#byId.get(member.id) === member) {
      this.#byId.delete(member.id)
      this.#names.left(member.id)
    }
    this.#o.events.add('worker-left', { worker: member.name, host: this.#o.hosts.nameOf(member), error: why.message })
    this.#o.ends.left(member)
    this.#o.on.changed(member)
    this.#o.on.lost(member, why)
    member.peer.close()
  }

  /** Restarts all heartbeats after their interval has changed. */
  retime(): void {
    for (const member of this.members.values()) {
      this.#beats.get(member)?.()
      this.#beat(member)
    }
  }

  /** Reads a member's status now, besides its heartbeats. */
  refreshStatus(member: Member): void {
    void this.#refreshStatus(member)
  }

  close(): void {
    this.#closed = true
    for (const cancel of this.#beats.values()) cancel()
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
  #endRing(member: Member): boolean {
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
    this.#flapping(member)
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
    this.#beat(member)
    this.#refreshed(member)
    void this.#soon(member).catch(() => undefined)
  }

  /** Whether a member still answers. A member that takes longer than a second counts as gone. */
  async #answers(member: Member): Promise<boolean> {
    const late = deadline(this.#o.clock, 1_000, () => fail('interrupted'))
    const answered = member.peer.refreshStatus(late.signal).then(
      () => true,
      () => false,
    )
    const gone = new Promise<false>(resolve => late.signal.addEventListener('abort', () => resolve(false)))
    const is = await Promise.race([answered, gone])
    late.cancel()
    return is
  }

  /** Quarantines a worker that keeps rejoining, each time for longer. */
  #flapping(member: Member): void {
    const { clock } = this.#o
    const now = clock.now()
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
    this.quarantine(member, `joined ${coming.times.length} times within a minute`)
    coming.quarantines = member.quarantines
  }

  /**
   * Quarantines a member: until it answers a probe after a pause it gets no requests, unless no other member serves its
   * model.
   */
  quarantine(member: Member, why: string): void {
    const { clock, events, on } = this.#o
    const pause = Math.min(limits.ASIDE_MS * ++member.quarantines, limits.MOST_ASIDE_MS)
    const until = clock.now() + pause
    member.quarantinedUntil = until
    member.failures = 0
    member.quarantined = true
    this.quarantined.add(member)
    events.add('worker-quarantined', { worker: member.name, seconds: pause / 1000, error: why })
    on.changed(member)
    clock.after(
      pause,
      () => {
        // a timer may fire a millisecond early, so time does not tell: only a newer quarantine replaces this one
        if (member.left || member.quarantinedUntil !== until) return
        member.quarantined = false
        this.quarantined.delete(member)
        member.ready = false
        member.probeAfter = 0
        void this.#probe(member)
      },
      true,
    )
  }

  /** The upstream of a member has failed: checks at once whether it is still there. */
  doubt(member: Member): void {
    if (member.remote && this.#o.clock.now() >= member.probeAfter) void this.#probe(member)
  }

  /** A member has given a whole answer: what went wrong before no longer counts. */
  good(member: Member): void {
    member.failures = 0
    member.quarantines = 0
    const coming = this.#comings.get(member.id)
    if (coming) coming.quarantines = 0
  }

  #beat(member: Member): void {
    const { clock, settings, random } = this.#o
    let due = clock.now()
    const beat = () => {
      const period = settings.heartbeat_s * 1000
      const now = clock.now()
      // this process was suspended (laptop lid, SIGSTOP): do not count the missed heartbeats against the worker
      const slept = now - due > period
      due = now + period
      this.#beats.set(member, clock.after(period, beat, true))
      if (!member.peer.refreshing) return void this.#refreshStatus(member)
      if (slept) return
      member.missed++
      if (member.missed === limits.SUSPECT_AFTER) {
        this.#o.events.add('worker-suspect', { worker: member.name, missed: member.missed })
        member.ready = false
        this.#o.on.changed(member)
      }
      if (member.missed >= limits.DEAD_AFTER)
        this.leave(member, fail('hungUp', `${member.name} missed ${member.missed} heartbeats`))
    }
    // spread out, so that not all members are asked at once
    const first = random() * settings.heartbeat_s * 1000
    due += first
    this.#beats.set(member, clock.after(first, beat, true))
  }

  async #refreshStatus(member: Member): Promise<void> {
    const before = member.running - member.given
    try {
      await member.peer.refreshStatus()
    } catch (error) {
      // `closed` handles a lost connection; a member with an invalid status is removed
      if (toFsError(error).is('badMessage')) this.leave(member, toFsError(error))
      return
    }
    if (member.left) return
    member.missed = 0
    if (this.#endRing(member)) return
    const { stuck } = member.report
    // only the end of the process frees such a slot
    if (stuck > 0) return this.#o.on.hung(member, `${stuck} of its answers did not stop when cancelled`)
    // `active` may include exchanges that we gave it while we waited for its status
    const ours = before + member.given
    member.externalActive = Math.max(0, member.report.active - ours)
    this.#refreshed(member)
  }

  #refreshed(member: Member): void {
    this.#o.on.changed(member)
    this.#o.on.refreshed(member)
    const due = this.#o.clock.now() >= member.probeAfter
    if (!member.ready && member.model && !member.suspect && due) void this.#probe(member)
  }

  /** Follows the events of a member until it has a model, to know that at once and not at the next heartbeat. */
  async #soon(member: Member): Promise<void> {
    if (member.model) return
    const root = await member.peer.as(this.#o.self)
    const { fid } = await root.ask(['event'], fid => fid.open(OREAD))
    try {
      for (let at = 0; !member.left && !member.model; ) {
        const piece = await fid.read(at, 16 * 1024)
        if (piece.length === 0) return
        at += piece.length
        // an event that is cut in two between pieces is missed: the next heartbeat finds the model
        const loaded = / kind=(loaded|load-failed|worker-ready) /.test(new TextDecoder().decode(piece))
        if (loaded) await this.#refreshStatus(member)
        await sleep(this.#o.clock, loaded ? limits.REFRESH_PAUSE_MS : limits.EVENTS_PAUSE_MS, undefined, true)
      }
    } finally {
      fid.clunk().catch(() => undefined)
    }
  }

  readonly #probing = new Set<Member>()

  /** A worker is ready once it has answered a probe prompt; an open port is not enough. */
  async #probe(member: Member): Promise<void> {
    if (this.#probing.has(member) || member.left) return
    this.#probing.add(member)
    const { clock, events, self } = this.#o
    const late = deadline(clock, limits.PROBE_MS, () => fail('interrupted'))
    try {
      // a prompt to an upstream may cost money: `check` only asks for its list of models
      if (member.remote && member.report.kind === 'worker') await member.peer.command('check\n', late.signal)
      else {
        const answer = await member.peer.ask('generate', PING, self, late.signal)
        const last = parseAnswerEvent(answer.trimEnd().split('\n').at(-1)!)
        if (last.event === 'error') throw received(last.error)
        if (last.event !== 'end') throw fail('badMessage', `event stream closed with ${last.event} as its last event`)
      }
      if (member.left || member.suspect) return
      const was = member.ready
      member.ready = true
      member.problem = undefined
      member.probes = 0
      if (!was)
        events.add('worker-ready', { worker: member.name, slots: member.report.slots, model: member.model?.name })
    } catch (error) {
      const { message } = error instanceof Unfit ? error : toFsError(error)
      if (!member.left && message !== member.problem)
        events.add('probe-failed', { worker: member.name, error: message })
      if (!late.signal.aborted) member.problem = message
      const pause = Math.min(limits.CHECK_MS * 2 ** member.probes++, limits.MOST_CHECK_MS)
      if (member.remote) {
        member.ready = false
        member.probeAfter = clock.now() + pause
      }
      // a probe that waits behind other exchanges says nothing about the engine
      const { active, queue } = member.report
      if (late.signal.aborted && !member.left && active + queue <= 1)
        this.#o.on.hung(member, `no answer to a probe for ${limits.PROBE_MS / 1000} s`)
    } finally {
      late.cancel()
      this.#probing.delete(member)
    }
    this.#o.on.changed(member)
  }
}

/** The error for a cluster that already has ours below it, and so may not join. */
const ring = ({ name }: Report): FsError =>
  fail('badArgument', `cluster ${name} already contains this cluster (clusters=), so joining would form a ring`)

/** The error for a lost connection: with the member's name where there is no reason. */
function hungUp(reason: Error | undefined, name: string): FsError {
  return reason instanceof FsError && reason.is('hungUp') ? reason : fail('hungUp', reason?.message ?? name, reason)
}
