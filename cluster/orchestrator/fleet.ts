import type { Clock } from '../../fs/clock.js'
import { fail } from '../../fs/errors.js'
import type { Verb } from '../../fs/kit/ctl.js'
import type { Feed } from '../../fs/kit/feed.js'
import type { Task } from '../root/task.js'
import type { Member } from './member.js'
import type { Peer } from './peer.js'
import type { Registry } from './registry.js'
import { type Scalable, Scaler, scalingLines, scalingVerbs } from './scaling.js'

export interface FleetOptions {
  clock: Clock
  events: Pick<Feed, 'add'>
  registry: Pick<Registry, 'members' | 'hosts'>
  /** Slots of the workers that can be given prompts, and how many are in use. */
  used(): { slots: number; active: number }
  /** What waits for a slot. */
  waiting(): Iterable<Task>
  /** Ends a worker, drained first. */
  retire(member: Member): Promise<void>
}

/** The workers of a cluster as its hosts have them: what is spawned where, what goes, and how it scales by itself. */
export class Fleet implements Scalable {
  readonly #o: FleetOptions
  readonly #scaler: Scaler
  readonly verbs: Record<string, Verb>

  constructor(o: FleetOptions) {
    this.#o = o
    this.#scaler = new Scaler(o.clock, this)
    this.verbs = scalingVerbs(this.#scaler)
  }

  /** The lines that would set how it scales. */
  get lines(): string[] {
    return scalingLines(this.#scaler)
  }

  close(): void {
    this.#scaler.close()
  }

  utilisation(): number | undefined {
    const { slots, active } = this.#o.used()
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
    return [...new Set(this.#hosts().flatMap(({ report }) => report.classes.map(({ name }) => name)))]
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
   * Starts n workers of a class on the host that has most memory to spare, or on the next where they do not fit.
   * @throws FsError `bad argument` for a class that no host has; what the last host said
   */
  async spawn(kind: string, n: number): Promise<void> {
    const able = this.#hosts().filter(({ report }) => report.classes.some(({ name }) => name === kind))
    if (able.length === 0)
      throw fail(
        'badArgument',
        `class ${kind}: there are ${this.classes().join(' ') || 'none, for no host has joined'}`,
      )
    let failure: unknown
    for (const host of able.sort((a, b) => b.report.mem_free - a.report.mem_free)) {
      try {
        await host.command(`spawn ${kind} ${n}\n`)
        // so that they are counted from now on
        await host.look()
        return
      } catch (error) {
        failure = error
      }
    }
    throw failure
  }

  /** Ends the n that have least to do; of each model one stays. */
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
    await Promise.all(going.map(member => this.#o.retire(member)))
  }

  told(kind: string, attrs: Parameters<Feed['add']>[1]): void {
    this.#o.events.add(kind, attrs)
  }

  /** The host that supervises a worker: it says so, or has not had the time to and bears the name. */
  hostOf({ id, report: { host } }: Member): Peer | undefined {
    return (
      this.#hosts().find(({ report }) => report.workers.some(worker => worker.id === id)) ??
      this.#o.registry.hosts.get(host)
    )
  }

  #hosts(): Peer[] {
    return [...this.#o.registry.hosts.values()]
  }

  /** Workers that have joined and are to stay. */
  #members(): Member[] {
    return [...this.#o.registry.members.values()].filter(
      ({ report, draining }) => report.kind === 'worker' && !draining && report.state !== 'draining',
    )
  }

  /** What hosts have beyond that: those that start, and those that wait to be started again. */
  #coming(): { id: string; state: string }[] {
    const joined = new Set([...this.#o.registry.members.values()].map(({ id }) => id))
    return this.#hosts()
      .flatMap(({ report }) => report.workers)
      .filter(({ id, state }) => state !== 'stopping' && !joined.has(id))
  }
}
