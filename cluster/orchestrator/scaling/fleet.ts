/** The workers of a cluster as its hosts see them: starts them on hosts, ends them, and counts them for scaling. */

import type { Events, Tell } from '../../../api/events.js'
import type { Clock } from '../../../fs/base/clock.js'
import type { Verb } from '../../../fs/kit/ctl.js'
import { noSuch } from '../../choices.js'
import type { Task } from '../../root/task.js'
import type { Hosts } from '../members/hosts.js'
import type { Member } from '../members/member.js'
import type { Membership } from '../members/membership.js'
import type { Peer } from '../members/peer.js'
import type { Retirement } from './retirement.js'
import { type Scalable, Scaler, scalingLines, scalingVerbs } from './scaler.js'

const NO_HOST = 'no host has joined; add one with llamboctl join'

export interface FleetOptions {
  clock: Clock
  events: Pick<Events, 'add'>
  membership: Pick<Membership, 'members'>
  hosts: Hosts
  /** Knows the slots of the workers that accept prompts, and how many of them are in use. */
  dispatcher: { readonly slots: number; readonly active: number }
  /** The tasks that wait for a slot. */
  waiting(): Iterable<Task>
  retirement: Retirement
}

export class Fleet implements Scalable {
  readonly #o: FleetOptions
  readonly #scaler: Scaler
  readonly verbs: Record<string, Verb>

  constructor(o: FleetOptions) {
    this.#o = o
    this.#scaler = new Scaler(o.clock, this)
    this.verbs = scalingVerbs(this.#scaler)
  }

  /** The commands that would restore the settings of the scaling. */
  get lines(): string[] {
    return scalingLines(this.#scaler)
  }

  /** Whether it starts workers by itself. */
  get scales(): boolean {
    return this.#scaler.on
  }

  close(): void {
    this.#scaler.close()
  }

  utilisation(): number | undefined {
    const { slots, active } = this.#o.dispatcher
    return slots > 0 ? active / slots : undefined
  }

  count(): number {
    return this.#members().length + this.#coming().length
  }

  starting(): number {
    const failed = (member: Member) => member.report.state === 'failed'
    return (
      this.#members().filter(member => !member.serving && !failed(member)).length +
      this.#coming().filter(({ state }) => state === 'starting').length
    )
  }

  classes(): string[] {
    return classesOf(this.#hosts())
  }

  wanted(): string | undefined {
    const queues = new Map<string, number>()
    for (const { request } of this.#o.waiting())
      if (request.model !== undefined) queues.set(request.model, (queues.get(request.model) ?? 0) + 1)
    const [longest] = [...queues].sort(([, a], [, b]) => b - a)
    if (!longest) return undefined
    const [model] = longest
    const known = this.classes()
    const has = this.#members().find(member => member.model?.name === model && known.includes(member.report.class))
    const could = this.#hosts().flatMap(({ report }) => report.classes)
    return has?.report.class ?? could.find(one => one.model === model)?.name
  }

  /**
   * Starts n workers of a class on the named host; without a name on the host with the most free memory, or on the next
   * if they do not fit.
   * @throws FsError `bad argument` for a host or a class that does not exist; the last host's error if no host could
   *   start them
   */
  async spawn(kind: string, n: number, name?: string): Promise<void> {
    const hosts = this.#o.hosts.peers
    if (name !== undefined && !hosts.has(name)) throw noSuch('host', name, [...hosts.keys()], NO_HOST)
    const asked = name === undefined ? this.#hosts() : [hosts.get(name)!]
    const able = asked.filter(({ report }) => report.classes.some(one => one.name === kind))
    if (able.length === 0) throw noSuch('class', kind, classesOf(asked), NO_HOST)
    let failure: unknown
    for (const host of able.sort((a, b) => b.report.mem_free - a.report.mem_free)) {
      try {
        await host.command(`spawn ${kind} ${n}\n`)
        // so that the new workers are counted from now on
        await host.reported()
        return
      } catch (error) {
        failure = error
      }
    }
    throw failure
  }

  /** Ends the n least busy workers, but never the last one of a model. */
  async retire(n: number): Promise<void> {
    const models = new Map<string | undefined, number>()
    const nameOf = ({ model }: Member) => model?.name
    for (const member of this.#members().filter(({ serving }) => serving))
      models.set(nameOf(member), (models.get(nameOf(member)) ?? 0) + 1)
    const going: Member[] = []
    for (const member of this.#members().sort((a, b) => a.load - b.load || a.lastUsed - b.lastUsed)) {
      const others = (models.get(nameOf(member)) ?? 0) - 1
      if (member.serving && others < 1) continue
      if (member.serving) models.set(nameOf(member), others)
      if (going.push(member) === n) break
    }
    await Promise.all(going.map(member => this.#o.retirement.retire(member)))
    // so that the ended workers do not count as starting
    await Promise.all(this.#hosts().map(host => host.reported().catch(() => undefined)))
  }

  readonly told: Tell = (kind, attrs) => this.#o.events.add(kind, attrs)

  #hosts(): Peer[] {
    return [...this.#o.hosts.peers.values()]
  }

  /** Workers that have joined and are not being drained. */
  #members(): Member[] {
    return [...this.#o.membership.members.values()].filter(
      ({ report, draining }) => report.kind === 'worker' && !draining && report.state !== 'draining',
    )
  }

  /** Workers that hosts list and that have not joined: those that are starting, or waiting to be started again. */
  #coming(): { id: string; state: string }[] {
    const joined = new Set([...this.#o.membership.members.values()].map(({ id }) => id))
    return this.#hosts()
      .flatMap(({ report }) => report.workers)
      .filter(({ id, state }) => state !== 'stopping' && !joined.has(id))
  }
}

const classesOf = (hosts: readonly Peer[]): string[] => [
  ...new Set(hosts.flatMap(({ report }) => report.classes.map(({ name }) => name))),
]
