import { plain } from '../../api/field.js'
import type { Report } from '../../api/report.js'
import { type Cancel, type Clock, deadline, sleep } from '../../fs/clock.js'
import { FsError, fail, toFsError } from '../../fs/errors.js'
import type { User } from '../../fs/file.js'
import type { Feed } from '../../fs/kit/feed.js'
import { OREAD } from '../../fs/protocol.js'
import { quote } from '../../fs/quote.js'
import type { Transport } from '../../fs/transport.js'
import type { Ends } from './ends.js'
import type { Hosts } from './hosts.js'
import type { Identities } from './identities.js'
import * as limits from './limits.js'
import { Member } from './member.js'
import { Names } from './names.js'
import { Peer } from './peer.js'
import { addressOf, Refusals } from './refusals.js'

/** The prompt that a worker answers before it is given others. */
const PING = { messages: [{ role: 'user', content: 'ping' }], max_tokens: 1, priority: 10 }

/** What the registry tells of. */
export interface Registrar {
  /** A member can be routed to, or can no more, or differently. */
  changed(member: Member): void
  /** A member is gone: what ran on it goes elsewhere. */
  lost(member: Member, error: Error): void
  /** A member has said (again) which exchanges of ours it has. */
  looked(member: Member): void
  /** A member's engine gives nothing and hears nothing any more: it is to be ended. */
  hung(member: Member, why: string): void
}

export interface RegistryOptions {
  clock: Clock
  random: () => number
  events: Feed
  /** Our own id, our version, and as whom we ask. */
  id: string
  version: string
  self: User
  /** Seconds between heartbeats. May change. */
  settings: { heartbeat_s: number }
  hosts: Hosts
  /** By whom it is known who is who. */
  identities: Identities
  /** Gets who comes and goes, to say what ended them. */
  ends: Ends
  on: Registrar
}

/**
 * Who has joined: workers, and clusters that joined as one (hosts.ts has the machines). It is soft state, made of nothing but what they say of
 * themselves when they join and at each heartbeat.
 */
export class Registry {
  readonly members = new Map<string, Member>()
  /** Members that are set aside. */
  readonly aside = new Set<Member>()
  readonly #o: RegistryOptions
  readonly #names: Names
  readonly #refusals: Refusals
  /** By address, how many are asked at once who they are, and those that wait for their turn. */
  readonly #meetings = new Map<string, { asked: number; waiting: (() => void)[] }>()
  readonly #byId = new Map<string, Member>()
  readonly #beats = new Map<Member, Cancel>()
  /** By id, when it came back of late, and how often it was set aside for that. */
  readonly #comings = new Map<string, { times: number[]; asides: number }>()
  #closed = false

  constructor(o: RegistryOptions) {
    this.#o = o
    this.#names = new Names(o.clock)
    this.#refusals = new Refusals(o.clock)
  }

  /** Whether a member or a host of that id is here. */
  has(id: string): boolean {
    return this.#byId.has(id) || this.#o.hosts.has(id)
  }

  /** The ids of all clusters at and below us. */
  get clusters(): string[] {
    const ids = new Set([this.#o.id])
    for (const { report } of this.members.values()) for (const id of report.clusters) ids.add(id)
    return [...ids]
  }

  /** Takes in who has dialled our join end point. Never rejects: who is not let in is told why, and hung up on. */
  async join(transport: Transport): Promise<void> {
    const { clock, self } = this.#o
    if (this.#refusals.waits(transport.name)) return transport.destroy()
    let peer: Peer | undefined
    try {
      peer = await this.#inTurn(transport.name, async () => {
        // one from there may have been refused while this one waited for its turn
        if (!this.#refusals.waits(transport.name)) return Peer.meet(transport, clock, self)
        transport.destroy()
        return undefined
      })
    } catch (error) {
      return this.#refused(transport, toFsError(error))
    }
    if (!peer) return
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

  /** Does what a few of one address do at a time: who hangs at that takes the turns of others of that address only. */
  async #inTurn<T>(name: string, meet: () => Promise<T>): Promise<T> {
    const address = addressOf(name)
    const meeting = this.#meetings.get(address) ?? { asked: 0, waiting: [] }
    this.#meetings.set(address, meeting)
    if (meeting.asked < limits.MAX_MEETING) meeting.asked++
    else await new Promise<void>(resolve => meeting.waiting.push(resolve))
    try {
      return await meet()
    } finally {
      // the next joiner gets our turn
      const next = meeting.waiting.shift()
      if (next) next()
      else if (--meeting.asked === 0) this.#meetings.delete(address)
    }
  }

  /** Tells of one that is not let in, in few words and not too often, and has the next from there wait. */
  #refused(transport: Transport, error: FsError, what: { type?: string; name?: string } = {}): void {
    // a connection that breaks says nothing of who was at its other end
    const more = this.#refusals.refused(transport.name, !error.is('hungUp'))
    if (!more) return
    const why = plain(error.message, limits.MAX_REASON)
    this.#o.events.add('join-refused', { from: plain(transport.name, 200), ...what, ...more, error: why })
  }

  /** Asks what who joins has to answer before it is one of us: who hangs at that must not stay at the door for ever. */
  async #promptly<T>(ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const late = deadline(this.#o.clock, limits.GREETING_MS, () => fail('interrupted'))
    try {
      return await ask(late.signal)
    } finally {
      late.cancel()
    }
  }

  /** A member's name, or a host's or another's thing of that name. @throws FsError `bad argument` that lists the workers there are */
  member(name: string): Member {
    const member = this.members.get(name)
    if (member) return member
    const known = this.listed
      .slice(0, 20)
      .map(({ name }) => name)
      .join(' ')
    throw fail('badArgument', `worker ${plain(name, 64)}: ${known ? `there are ${known}` : 'there are none'}`)
  }

  /** The members as they are shown: by number, whatever order they came in. */
  get listed(): Member[] {
    return [...this.members.values()].sort((a, b) => a.name.length - b.name.length || (a.name < b.name ? -1 : 1))
  }

  /** A member is not to be counted on any more. Its connection is closed. */
  leave(member: Member, why: FsError): void {
    if (member.left) return
    member.left = true
    this.#beats.get(member)?.()
    this.#beats.delete(member)
    this.members.delete(member.name)
    this.aside.delete(member)
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

  /** The time between heartbeats is another from now on. */
  retime(): void {
    for (const member of this.members.values()) {
      this.#beats.get(member)?.()
      this.#beat(member)
    }
  }

  /** Asks a member at once how it is, out of turn. */
  look(member: Member): void {
    void this.#look(member)
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
      throw fail('notSupported', `version ${report.version} joins a cluster of version ${version}`)
    if (report.id === id || report.clusters.includes(id)) throw ring(report)
  }

  /**
   * Ends the ring that clusters make which join one another at the same moment: none of them had heard of the others when it let
   * in the next. The one of the least id lets go at once, so that the others stay joined; where a cluster outside the ring has the
   * least id, each lets go after a few heartbeats.
   * @returns whether this member was let go
   */
  #endRing(member: Member): boolean {
    const { id } = this.#o
    const { clusters } = member.report
    if (!clusters.includes(id)) {
      member.ringed = 0
      return false
    }
    const least = clusters.every(other => other >= id)
    if (!least && ++member.ringed < limits.RING_LOOKS) return false
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
      throw fail('badArgument', `there are ${limits.MAX_MEMBERS} workers already`)
    if (old && old.report.boot !== boot && (await this.#answers(old)))
      throw fail('exists', `id ${id} is ${old.name}, which is alive (boot ${old.report.boot})`)
    const name = this.#names.of(id, peer.report.name)
    if (kind === 'worker' && name !== peer.report.name) {
      await this.#promptly(async signal => {
        await peer.command(`name ${name}\n`, signal)
        await peer.look(signal)
      })
    }
    // another connection of the same may have come in the meantime
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
      // those of a cluster come one after another: worker-ready has them
      slots: kind === 'worker' ? slots : undefined,
      model: member.model?.name,
    })
    void peer.client.closed.then(reason => this.leave(member, hungUp(reason, name)))
    this.#beat(member)
    this.#looked(member)
    void this.#soon(member).catch(() => undefined)
  }

  /** Whether a member answers now; who does not within a second is no longer there. */
  async #answers(member: Member): Promise<boolean> {
    const late = deadline(this.#o.clock, 1_000, () => fail('interrupted'))
    const answered = member.peer.look(late.signal).then(
      () => true,
      () => false,
    )
    const gone = new Promise<false>(resolve => late.signal.addEventListener('abort', () => resolve(false)))
    const is = await Promise.race([answered, gone])
    late.cancel()
    return is
  }

  /** Who comes back again and again is set aside, each time for longer. */
  #flapping(member: Member): void {
    const { clock } = this.#o
    const now = clock.now()
    const coming = this.#comings.get(member.id) ?? { times: [], asides: 0 }
    coming.times = [...coming.times.filter(time => now - time < limits.FLAP_WINDOW_MS), now]
    this.#comings.delete(member.id)
    this.#comings.set(member.id, coming)
    if (this.#comings.size > limits.MAX_NAMES) this.#comings.delete(this.#comings.keys().next().value!)
    if (coming.times.length <= limits.FLAPS) {
      if (coming.times.length === 1) coming.asides = 0
      return
    }
    member.asides = coming.asides
    this.setAside(member, `it came ${coming.times.length} times within a minute`)
    coming.asides = member.asides
  }

  /** Sets a member aside: it gets nothing, unless it is the last that serves its model, until it answers a probe after a pause. */
  setAside(member: Member, why: string): void {
    const { clock, events, on } = this.#o
    const pause = Math.min(limits.ASIDE_MS * ++member.asides, limits.MOST_ASIDE_MS)
    const until = clock.now() + pause
    member.asideUntil = until
    member.failures = 0
    member.aside = true
    this.aside.add(member)
    events.add('worker-aside', { worker: member.name, seconds: pause / 1000, error: why })
    on.changed(member)
    clock.after(
      pause,
      () => {
        // a timer may come a millisecond early: only another setting aside makes this one void
        if (member.left || member.asideUntil !== until) return
        member.aside = false
        this.aside.delete(member)
        member.ready = false
        member.probeAfter = 0
        void this.#probe(member)
      },
      true,
    )
  }

  /** The server that makes a member's text has failed it: whether it is there is asked at once. */
  doubt(member: Member): void {
    if (member.remote && this.#o.clock.now() >= member.probeAfter) void this.#probe(member)
  }

  /** A member has given a whole answer: what went wrong before is over. */
  good(member: Member): void {
    member.failures = 0
    member.asides = 0
    const coming = this.#comings.get(member.id)
    if (coming) coming.asides = 0
  }

  #beat(member: Member): void {
    const { clock, settings, random } = this.#o
    let due = clock.now()
    const beat = () => {
      const period = settings.heartbeat_s * 1000
      const now = clock.now()
      // we slept ourselves (a laptop closed, a stopped process): nobody is to blame for what we did not hear
      const slept = now - due > period
      due = now + period
      this.#beats.set(member, clock.after(period, beat, true))
      if (!member.peer.looking) return void this.#look(member)
      if (slept) return
      member.missed++
      if (member.missed === limits.SUSPECT_AFTER) {
        this.#o.events.add('worker-suspect', { worker: member.name, missed: member.missed })
        member.ready = false
        this.#o.on.changed(member)
      }
      if (member.missed >= limits.DEAD_AFTER)
        this.leave(member, fail('hungUp', `${member.name} has not answered ${member.missed} heartbeats`))
    }
    // not all at once
    const first = random() * settings.heartbeat_s * 1000
    due += first
    this.#beats.set(member, clock.after(first, beat, true))
  }

  async #look(member: Member): Promise<void> {
    const before = member.running.size - member.given
    try {
      await member.peer.look()
    } catch (error) {
      // a connection that is gone says so itself; who talks nonsense is put out
      if (toFsError(error).is('badMessage')) this.leave(member, toFsError(error))
      return
    }
    if (member.left) return
    member.missed = 0
    if (this.#endRing(member)) return
    const { stuck } = member.report
    // the slot is given back by nothing but the end of the process
    if (stuck > 0) return this.#o.on.hung(member, `${stuck} of its answers were told to stop and run on`)
    // what it was given while it was asked may be in its answer
    const ours = before + member.given
    member.foreign = Math.max(0, member.report.active - ours)
    this.#looked(member)
  }

  #looked(member: Member): void {
    this.#o.on.changed(member)
    this.#o.on.looked(member)
    const due = this.#o.clock.now() >= member.probeAfter
    if (!member.ready && member.model && !member.suspect && due) void this.#probe(member)
  }

  /** While it loads a model its events are followed: that it is there is known at once, not at the next heartbeat. */
  async #soon(member: Member): Promise<void> {
    if (member.model) return
    const root = await member.peer.as(this.#o.self)
    const { fid } = await root.ask(['event'], fid => fid.open(OREAD))
    try {
      for (let at = 0; !member.left && !member.model; ) {
        const piece = await fid.read(at, 16 * 1024)
        if (piece.length === 0) return
        at += piece.length
        // an event that the end of a piece cuts in two is seen at the next heartbeat
        const loaded = / kind=(loaded|load-failed|worker-ready) /.test(new TextDecoder().decode(piece))
        if (loaded) await this.#look(member)
        await sleep(this.#o.clock, loaded ? limits.LOOK_PAUSE_MS : limits.EVENTS_PAUSE_MS, undefined, true)
      }
    } finally {
      fid.clunk().catch(() => undefined)
    }
  }

  readonly #probing = new Set<Member>()

  /** Ready is who has answered a prompt, not who has a port open. */
  async #probe(member: Member): Promise<void> {
    if (this.#probing.has(member) || member.left) return
    this.#probing.add(member)
    const { clock, events, self } = this.#o
    const late = deadline(clock, limits.PROBE_MS, () => fail('interrupted'))
    try {
      // a prompt may cost money where a server elsewhere answers it
      if (member.remote && member.report.kind === 'worker') await member.peer.command('check\n', late.signal)
      else {
        const answer = await member.peer.ask('generate', PING, self, late.signal)
        if (!/"event":"end"/.test(answer)) throw fail('io', answer.slice(-200))
      }
      if (member.left || member.suspect) return
      const was = member.ready
      member.ready = true
      member.problem = undefined
      member.probes = 0
      if (!was)
        events.add('worker-ready', { worker: member.name, slots: member.report.slots, model: member.model?.name })
    } catch (error) {
      const { message } = toFsError(error)
      if (!member.left && message !== member.problem)
        events.add('probe-failed', { worker: member.name, error: message })
      if (!late.signal.aborted) member.problem = message
      const pause = Math.min(limits.CHECK_MS * 2 ** member.probes++, limits.MOST_CHECK_MS)
      if (member.remote) {
        member.ready = false
        member.probeAfter = clock.now() + pause
      }
      // others' answers are not what it waited for
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

/** Why a cluster that holds ours may not join. */
const ring = ({ name }: Report): FsError =>
  fail('badArgument', `cluster ${name} holds this cluster already (clusters=): that would be a ring`)

/** Why a connection is gone, with the name of who was there where it does not say. */
function hungUp(reason: Error | undefined, name: string): FsError {
  return reason instanceof FsError && reason.is('hungUp') ? reason : fail('hungUp', reason?.message ?? name, reason)
}
