/** What the commands of a cluster's ctl do; verbs.ts has their syntax. */

import { fail } from '../../api/errors.js'
import type { Events } from '../../api/events.js'
import type { Routing, Strategy } from './dispatch/routing.js'
import type { Health } from './members/health.js'
import type { Member } from './members/member.js'
import type { Membership } from './members/membership.js'
import type { Catalog } from './models/catalog.js'
import type { Loading } from './models/loading.js'
import type { Wanted, WantedModels } from './models/wanted.js'
import type { Fleet } from './scaling/fleet.js'
import type { Retirement } from './scaling/retirement.js'
import type { ClusterSettings } from './settings.js'

/** The parts of the cluster that its commands act on. */
export interface CommandsOptions {
  events: Events
  settings: ClusterSettings
  routing: Routing
  membership: Membership
  health: Health
  catalog: Catalog
  loading: Loading
  wanted: WantedModels
  fleet: Fleet
  retirement: Retirement
  given: {
    /** Ends the cluster. */
    shutdown(): void
    /** Called when the cluster that we joined refuses us. */
    refused?(why: string): void
  }
}

export class Commands {
  readonly #o: CommandsOptions
  /** Whether the settings of an earlier server are being read: no worker has joined yet. */
  #restoring = true

  /**
   * How many commands have said what workers should hold; and for each worker, the number of the last one that was for
   * it.
   */
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
    this.#o.health.heartbeats.retime()
  }

  /** @throws FsError `bad argument` that lists the workers there are */
  check(name: string): void {
    this.#o.membership.member(name)
  }

  /** As `check`, for a command that is persisted: while it is restored, the workers have yet to join. */
  checkKept(name: string): void {
    if (!this.#restoring) this.check(name)
  }

  /** Must be called when the settings of an earlier server have been read. */
  restored(): void {
    this.#restoring = false
  }

  /** The commands that say which worker holds which model. */
  get wantedLines(): string[] {
    return this.#o.wanted.lines
  }

  drain(name: string): void {
    this.#o.retirement.drain(this.#o.membership.member(name))
  }

  resume(name: string): void {
    this.#o.retirement.resume(this.#o.membership.member(name))
  }

  shutdown(name: string | undefined): void | Promise<void> {
    const { membership, retirement, given } = this.#o
    return name === undefined ? given.shutdown() : retirement.retire(membership.member(name))
  }

  /**
   * Loads a model on one worker; without a name on all that have the file, one after another, so that the others serve
   * meanwhile. A model that has been loaded is remembered: a worker that is started again holds it.
   * @throws FsError why it could not be loaded on that worker, or on any
   */
  async load(model: string, name: string | undefined): Promise<void> {
    const { membership, catalog, loading } = this.#o
    const wanted: Wanted = { verb: 'load', model }
    if (this.#restoring) return this.#want(wanted, name, [])
    if (name !== undefined) {
      const member = membership.member(name)
      this.#begin([member])
      await loading.load(member, model)
      return this.#want(wanted, name, [])
    }
    const holders = catalog.holders(model)
    // a model that no worker lists may be a path: each worker finds the file, or says that it cannot
    const all = holders.length > 0 ? holders : [...membership.members.values()].filter(m => m.report.kind === 'worker')
    if (all.length === 0) throw fail('noWorker', `${model}; no worker has joined`)
    const failures: Error[] = []
    const holds = this.#begin(all)
    for (const member of all) {
      if (!holds(member)) continue
      try {
        await loading.load(member, model)
        // after the first success already: from now on plain prompts go to the new model, and none of them to the next
        // worker to change
        this.#want(wanted, undefined, holds(member) ? [member] : [])
      } catch (error) {
        failures.push(error as Error)
      }
    }
    if (failures.length === all.length) throw failures[0]!
  }

  /**
   * Frees a model on one worker; without a name on all that have it.
   * @throws FsError `no model is loaded` if there is none
   */
  async unload(model: string, name: string | undefined): Promise<void> {
    const { membership, catalog, loading } = this.#o
    const wanted: Wanted = { verb: 'unload', model }
    if (this.#restoring) return this.#want(wanted, name, [])
    const named = name === undefined ? undefined : membership.member(name)
    const all = catalog.loadedOn(model).filter(member => !named || member === named)
    if (all.length === 0)
      throw fail(
        'loading',
        named ? `${name} has ${named.model?.name ?? 'no model'} loaded` : `no worker has ${model} loaded`,
      )
    this.#begin(all)
    // before the unloading: a plain prompt must not load the model again
    this.#want(wanted, name, all)
    for (const member of all) await loading.unload(member, model)
  }

  /**
   * Begins a command that says what workers should hold. In a command for all workers, a worker may get a newer one
   * before its turn has come.
   * @returns whether this command still is the last one for a worker
   */
  #begin(members: readonly Member[]): (member: Member) => boolean {
    const own = ++this.#begun
    for (const member of members) this.#last.set(member, own)
    return member => this.#last.get(member) === own
  }

  #want(wanted: Wanted, name: string | undefined, members: readonly Member[]): void {
    if (name === undefined) this.#o.wanted.setAll(wanted, members)
    else this.#o.wanted.setOne(name, wanted)
    this.#o.catalog.rewanted()
  }

  spawn(kind: string, n: number, host: string | undefined): Promise<void> {
    return this.#o.fleet.spawn(kind, n, host)
  }

  refused(why: string): void {
    this.#o.events.add('refused', { error: why })
    this.#o.given.refused?.(why)
  }
}
