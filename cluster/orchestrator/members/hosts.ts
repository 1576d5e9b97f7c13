/** The machines that have joined as hosts: they start workers, and report how these end. */

import { fail, toFsError } from '../../../api/errors.js'
import type { Events } from '../../../api/events.js'
import { type Exit, MAX_EVENT, parseExit } from '../../../api/exit.js'
import { Lines } from '../../../api/text.js'
import { type Cancel, type Clock, sleep } from '../../../fs/base/clock.js'
import type { User } from '../../../fs/file.js'
import { OREAD } from '../../../fs/wire/protocol.js'
import * as limits from '../limits.js'
import type { Member } from './member.js'
import type { Peer } from './peer.js'
import { pulse } from './pulse.js'

/** Bytes of one read of a host's events. */
const PIECE = 64 * 1024

export interface HostsOptions {
  clock: Clock
  events: Events
  /** The user of our own requests. */
  self: User
  /** Seconds between heartbeats. May change. */
  settings: { heartbeat_s: number }
  /** Called when a host, given by its id, reports how one of its workers ended. */
  exited(host_id: string, exit: Exit): void
}

export class Hosts {
  /** By their names in our tree. */
  readonly peers = new Map<string, Peer>()
  readonly #o: HostsOptions
  /** By id, the name of each host in our tree, kept for its return. Two machines may report the same name. */
  readonly #names = new Map<string, string>()
  /** By id, when each absent host left, the earliest first. */
  readonly #gone = new Map<string, number>()
  readonly #beats = new Map<Peer, Cancel>()
  /** Members that their host has listed among its workers. */
  readonly #confirmed = new WeakSet<Member>()

  constructor(o: HostsOptions) {
    this.#o = o
  }

  /**
   * The name of a member's machine: in our tree (`host/NAME`), or as the member reports it if no host of that machine
   * has joined.
   */
  nameOf({ report: { host, host_id } }: Member): string {
    return this.#names.get(host_id) ?? host
  }

  /**
   * A key that distinguishes a member's machine from others. A cluster is not on a single machine, whatever machine it
   * reports. A worker is on the machine of a joined host only if that host lists it: any worker can name another's
   * host, and would be given the models that people copy to that machine.
   */
  machineOf(member: Member): string {
    const { kind, host, host_id } = member.report
    if (kind === 'cluster') return member.id
    if (this.#confirms(member)) return this.nameOf(member)
    return this.#names.has(host_id) || this.peers.has(host) ? member.id : host || member.id
  }

  /** Reads the status of the host that a worker names now, unless the host has already listed that worker. */
  confirm(member: Member): void {
    const host = this.of(member)
    if (host && !host.refreshing && !this.#confirms(member)) void host.refreshStatus().catch(() => undefined)
  }

  #confirms(member: Member): boolean {
    if (this.#confirmed.has(member)) return true
    const host = this.of(member)
    const is = host?.report.id === member.report.host_id && host.report.workers.some(({ id }) => id === member.id)
    if (is) this.#confirmed.add(member)
    return is
  }

  /** The host that supervises a worker; undefined if it has not joined. */
  of(member: Member): Peer | undefined {
    return this.peers.get(this.nameOf(member))
  }

  /**
   * Admits a host. It replaces an earlier connection of the same host.
   * @throws FsError `bad argument` if there are too many
   */
  join(peer: Peer): void {
    const { id, name: called } = peer.report
    const old = [...this.peers].find(([, host]) => host.report.id === id)
    if (old) this.#left(...old)
    if (this.peers.size >= limits.MAX_HOSTS) throw fail('badArgument', `too many hosts, at most ${limits.MAX_HOSTS}`)
    this.#gone.delete(id)
    this.#forget()
    const name = this.#names.get(id) ?? this.#free(called)
    this.#names.set(id, name)
    this.peers.set(name, peer)
    this.#o.events.add('host-joined', { host: name })
    void peer.client.closed.then(() => this.#left(name, peer))
    // `closed` above handles a lost connection; a host with invalid events is disconnected
    void this.#exits(peer).catch(thrown => {
      const error = toFsError(thrown)
      if (error.is('badMessage')) this.#left(name, peer, error.message)
    })
    this.#beat(name, peer)
  }

  close(): void {
    for (const cancel of this.#beats.values()) cancel()
    const peers = [...this.peers.values()]
    this.peers.clear()
    for (const peer of peers) peer.close()
  }

  /** Whether a host with this id has joined. */
  has(id: string): boolean {
    return [...this.peers.values()].some(({ report }) => report.id === id)
  }

  /** Frees the names of hosts that have not come back in time. */
  #forget(): void {
    const now = this.#o.clock.now()
    for (const [id, since] of this.#gone) {
      if (now - since < limits.NAME_GRACE_MS && this.#gone.size < limits.MAX_HOSTS) return
      this.#gone.delete(id)
      this.#names.delete(id)
    }
  }

  /** A name that no host has, or has had lately: the given one, or that with a number. */
  #free(name: string): string {
    const taken = new Set(this.#names.values())
    for (let n = 1; ; n++) {
      const free = n === 1 ? name : `${name}-${n}`
      if (!taken.has(free)) return free
    }
  }

  #beat(name: string, peer: Peer): void {
    const { clock, settings } = this.#o
    let missed = 0
    const answered = () => {
      missed = 0
    }
    const beat = (slept: boolean) => {
      if (!peer.refreshing) void peer.refreshStatus().then(answered, () => undefined)
      else if (!slept && ++missed >= limits.DEAD_AFTER) this.#left(name, peer)
    }
    const period = () => settings.heartbeat_s * 1000
    this.#beats.set(peer, pulse(clock, period(), period, beat))
    beat(false)
  }

  #left(name: string, peer: Peer, error?: string): void {
    if (this.peers.get(name) !== peer) return
    this.peers.delete(name)
    this.#gone.delete(peer.report.id)
    this.#gone.set(peer.report.id, this.#o.clock.now())
    this.#beats.get(peer)?.()
    this.#beats.delete(peer)
    this.#o.events.add('host-left', { host: name, error })
    peer.close()
  }

  /**
   * Follows a host's events to learn how its workers end.
   * @throws FsError if they cannot be read; `bad message` if they are invalid
   */
  async #exits(peer: Peer): Promise<void> {
    const { clock, self, exited } = this.#o
    const root = await peer.as(self)
    const { fid } = await root.ask(['event'], fid => fid.open(OREAD))
    const lines = new Lines('events', MAX_EVENT)
    for (let at = 0; ; ) {
      const piece = await fid.read(at, PIECE)
      if (piece.length === 0) throw fail('badMessage', 'its event stream ended')
      at += piece.length
      try {
        for (const line of lines.take(piece)) {
          const exit = parseExit(line)
          if (exit) exited(peer.report.id, exit)
        }
      } catch (error) {
        throw fail('badMessage', (error as Error).message)
      }
      await sleep(clock, limits.EVENTS_PAUSE_MS, undefined, true)
    }
  }
}
