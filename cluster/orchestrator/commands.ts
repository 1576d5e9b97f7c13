import { type Clock, sleep } from '../../fs/clock.js'
import { fail } from '../../fs/errors.js'
import type { Feed } from '../../fs/kit/feed.js'
import type { Fleet } from './fleet.js'
import type { Hosts } from './hosts.js'
import * as limits from './limits.js'
import type { Member } from './member.js'
import type { Models } from './models.js'
import type { ClusterPlace } from './place.js'
import type { Registry } from './registry.js'
import type { Routing, Strategy } from './routing.js'
import type { ClusterSettings } from './verbs.js'
import type { Wanted, WantedModels } from './wanted.js'

/** What a cluster's commands are done with. */
export interface CommandsOptions {
  clock: Clock
  events: Feed
  settings: ClusterSettings
  routing: Routing
  registry: Registry
  models: Models
  wanted: WantedModels
  fleet: Fleet
  hosts: Hosts
  place: ClusterPlace
  /** A member can be routed to, or can no more. */
  changed(member: Member): void
  /** The cluster is to end. */
  shutdown(): void
  refused(why: string): void
}

/** What the words of a cluster's ctl do (verbs.ts has what they are). */
export class Commands {
  readonly #o: CommandsOptions
  /** While the settings of an earlier server are read: nobody has joined yet. */
  #restoring = true

  /** Commands that said what workers hold, and for each worker the last that was for it. */
  #begun = 0
  readonly #last = new WeakMap<Member, number>()

  constructor(o: CommandsOptions) {
    this.#o = o
  }

  get settings(): ClusterSettings {
    return this.#o.settings
  }

  get strategy(): Strategy {
    return this.#o.routing.strategy
  }

  set strategy(strategy: Strategy) {
    this.#o.routing.strategy = strategy
    this.#o.events.add('strategy', { strategy })
  }

  heartbeat(s: number): void {
    this.#o.settings.heartbeat_s = s
    this.#o.registry.retime()
  }

  /** @throws FsError `bad argument` that lists the workers there are */
  check(name: string): void {
    this.#o.registry.member(name)
  }

  /** As `check`, for a command that is kept: an earlier server's workers have yet to join. */
  checkKept(name: string): void {
    if (!this.#restoring) this.check(name)
  }

  /** The settings of an earlier server have been read. */
  restored(): void {
    this.#restoring = false
  }

  /** The commands that say which worker holds which model. */
  get wantedLines(): string[] {
    return this.#o.wanted.lines
  }

  drain(name: string): void {
    const member = this.#o.registry.member(name)
    member.draining = true
    this.#o.events.add('worker-draining', { worker: name })
    this.#o.changed(member)
  }

  resume(name: string): void {
    const member = this.#o.registry.member(name)
    member.draining = false
    this.#o.events.add('worker-resumed', { worker: name })
    // it may have been told by others
    if (member.report.state === 'draining')
      void member.peer.command('resume\n').then(
        () => this.#o.registry.look(member),
        () => undefined,
      )
    this.#o.changed(member)
  }

  shutdown(name: string | undefined): void | Promise<void> {
    return name === undefined ? this.#o.shutdown() : this.retire(this.#o.registry.member(name))
  }

  /** Lets a worker finish, moves what does not finish in time, and ends it. */
  async retire(member: Member): Promise<void> {
    const { clock, place, hosts } = this.#o
    this.drain(member.name)
    const until = clock.now() + limits.DRAIN_MS
    while (member.running.size > 0 && clock.now() < until && !member.left) await sleep(clock, 50)
    place.move(member, fail('shuttingDown'))
    this.#o.wanted.forget(member.name)
    if (member.left) return
    // its host has to know that it is not to come back
    const stopped = hosts.of(member)?.command(`stop ${member.id}\n`) ?? Promise.reject()
    await stopped.catch(() => member.peer.command('shutdown\n')).catch(() => undefined)
  }

  /**
   * On one worker; else on all that have the file, one after another, so that the others serve meanwhile. What has been loaded is
   * remembered: a worker that is started again holds it.
   */
  async load(model: string, name: string | undefined): Promise<void> {
    const { registry, models } = this.#o
    const wanted: Wanted = { verb: 'load', model }
    if (this.#restoring) return this.#want(wanted, name, [])
    if (name !== undefined) {
      const member = registry.member(name)
      this.#begin([member])
      await models.load(member, model)
      return this.#want(wanted, name, [])
    }
    const holders = models.holders(model)
    // a path is for the worker to find, and to say that it cannot
    const all = holders.length > 0 ? holders : [...registry.members.values()].filter(m => m.report.kind === 'worker')
    if (all.length === 0) throw fail('noWorker', `${model}: no worker has joined`)
    const failures: Error[] = []
    const holds = this.#begin(all)
    for (const member of all) {
      if (!holds(member)) continue
      try {
        await models.load(member, model)
        // with the first: plain prompts are the new model's from now on, and the next worker to change is none of theirs
        this.#want(wanted, undefined, holds(member) ? [member] : [])
      } catch (error) {
        failures.push(error as Error)
      }
    }
    if (failures.length === all.length) throw failures[0]!
  }

  async unload(model: string, name: string | undefined): Promise<void> {
    const { registry, models } = this.#o
    const wanted: Wanted = { verb: 'unload', model }
    if (this.#restoring) return this.#want(wanted, name, [])
    const named = name === undefined ? undefined : registry.member(name)
    const all = models.loadedOn(model).filter(member => !named || member === named)
    if (all.length === 0)
      throw fail('loading', named ? `${name} has ${named.model?.name ?? 'none'}` : `no worker has ${model}`)
    this.#begin(all)
    // first: what is freed is not to be loaded again for a plain prompt
    this.#want(wanted, name, all)
    for (const member of all) await models.unload(member, model)
  }

  /**
   * Begins a command that says what workers hold. A worker may be told something else before its turn in a command for all has come.
   * @returns whether the command still is the last that a worker was given
   */
  #begin(members: readonly Member[]): (member: Member) => boolean {
    const own = ++this.#begun
    for (const member of members) this.#last.set(member, own)
    return member => this.#last.get(member) === own
  }

  #want(wanted: Wanted, name: string | undefined, members: readonly Member[]): void {
    if (name === undefined) this.#o.wanted.setAll(wanted, members)
    else this.#o.wanted.setOne(name, wanted)
    this.#o.models.rewanted()
  }

  spawn(kind: string, n: number, host: string | undefined): Promise<void> {
    return this.#o.fleet.spawn(kind, n, host)
  }

  refused(why: string): void {
    this.#o.events.add('refused', { error: why })
    this.#o.refused(why)
  }
}
