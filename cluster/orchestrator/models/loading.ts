/** Loads models on workers: on command, for requests that wait, and again on workers that were restarted. */

import { fail, toFsError } from '../../../api/errors.js'
import type { Events } from '../../../api/events.js'
import type { Request } from '../../../api/request.js'
import { type Clock, sleep } from '../../../fs/base/clock.js'
import { within } from '../../../fs/base/interruptible.js'
import { quote } from '../../../fs/base/quote.js'
import { LOAD_MS, REFRESH_PAUSE_MS } from '../limits.js'
import type { Change } from '../members/changes.js'
import type { Hosts } from '../members/hosts.js'
import type { Member } from '../members/member.js'
import type { Peer } from '../members/peer.js'
import type { Catalog } from './catalog.js'
import type { FatalLoads } from './fatal-loads.js'
import type { WantedModels } from './wanted.js'

/** The least time between two searches for a worker to load a model on, in ms. */
const PAUSE_MS = 200

export interface LoadingOptions {
  clock: Clock
  events: Events
  catalog: Catalog
  hosts: Hosts
  wanted: WantedModels
  fatal: FatalLoads
  /** Called when a model could not be loaded for requests that wait for it: they must fail. */
  onFailed(model: string, error: Error): void
  /** Called when a load or an unload on a member is over. */
  onEnd(member: Member): void
}

export class Loading {
  readonly #o: LoadingOptions
  /** The earliest time, by the clock, of the next search for a worker to load a model on. */
  #notBefore = 0
  /**
   * By member, the last of its loads. They run one after another, because a worker refuses a second load during the
   * first.
   */
  readonly #loads = new Map<Member, Promise<void>>()
  /** By host and the worker's id, the model that the worker's next process should load, as the host was last told. */
  readonly #told = new WeakMap<Peer, Map<string, string>>()
  /** By worker, the model that it was last seen loading, and the error in its last status. */
  readonly #loading = new WeakMap<
    Member,
    { readonly loading: string | undefined; readonly error: string | undefined }
  >()

  constructor(o: LoadingOptions) {
    this.#o = o
  }

  /** A host reports that a signal ended one of its workers: a load that crashes workers is not tried again by itself. */
  died(host_id: string, boot: string, signal: string): void {
    const model = this.#o.fatal.died(host_id, boot, signal)
    if (model !== undefined) this.#o.events.add('load-fatal', { model, boot, signal })
  }

  /** A subscriber to changes. */
  changed({ member, reported, left }: Change): void {
    if (left || !reported || member.report.kind !== 'worker') return
    this.#tellFailure(member)
    this.#restore(member)
    this.#tellHost(member)
  }

  /**
   * Logs a failed load that a worker began by itself, as it does at its start; #load logs the loads that we gave it.
   */
  #tellFailure(member: Member): void {
    const { loading, error } = member.report
    const before = this.#loading.get(member)
    this.#loading.set(member, { loading: loading || before?.loading, error })
    if (error === undefined || error === before?.error || this.#loads.has(member)) return
    this.#o.events.add('load-failed', { worker: member.name, model: before?.loading, error })
  }

  /** Tells a worker's host which model the worker's next process should load first. */
  #tellHost(member: Member): void {
    const host = this.#o.hosts.of(member)
    const { id, host_id, class: of } = member.report
    if (host?.report.id !== host_id) return
    const { hosts, catalog, fatal } = this.#o
    const wanted = this.#o.wanted.holdOf(member, catalog.classModel(hosts.nameOf(member), of))
    const hold = fatal.has(wanted) ? '' : wanted
    const told = this.#told.get(host) ?? new Map<string, string>()
    this.#told.set(host, told)
    // a host drops a model whose load ended a process: do not tell it the same again
    const known = told.get(id) ?? host.report.workers.find(worker => worker.id === id)?.hold
    if (known === undefined || known === hold) return
    told.set(id, hold)
    // a host of an earlier version does not know the command: there a worker loads its class's model, and then the one
    // it should hold
    host.command(`hold ${id} ${quote(hold)}\n`).catch(() => undefined)
  }

  /** Makes a worker that was started again hold the model that it was told to hold. */
  #restore(member: Member): void {
    // it is being given another model: what it should hold is only known when that load is over
    if (this.#loads.has(member)) return
    const due = this.#o.wanted.due(member)
    if (!due || (due.verb === 'load' && this.#o.fatal.has(due.model))) return
    const { verb, model } = due
    void this[verb](member, model).catch(error =>
      this.#o.events.add('not-restored', {
        worker: member.name,
        setting: `${verb} ${model}`,
        error: toFsError(error).message,
      }),
    )
  }

  /**
   * Starts loading the model of a request, if no worker has it ready: on the idle worker that was least recently used.
   * A worker that is generating is never taken.
   * @returns whether the model is ready somewhere or being loaded
   */
  bring({ model = this.#o.catalog.plain }: Request): boolean {
    const { catalog, clock, fatal } = this.#o
    if (model === undefined || catalog.copies(model) > 0) return true
    const now = clock.now()
    if (now < this.#notBefore) return false
    this.#notBefore = now + PAUSE_MS
    if (catalog.coming({ model })) return true
    if (fatal.has(model)) return false
    const idle = catalog
      .holders(model)
      .filter(member => member.active === 0 && member.loading === undefined && !member.draining)
    const { plain } = catalog
    const last = plain !== undefined && catalog.copies(plain) === 1 ? plain : undefined
    // the last worker with the model of plain prompts is taken only if there is no other
    const [oldest] = idle.sort((a, b) => Number(a.has(last)) - Number(b.has(last)) || a.lastUsed - b.lastUsed)
    if (!oldest) return false
    void this.load(oldest, model).catch(error => this.#o.onFailed(model, toFsError(error)))
    return true
  }

  /**
   * Loads a model on a member, after the loads that the member was given before. Resolves when it is loaded.
   * @throws FsError `bad argument` if there are different files of that name; the member's own error; `i/o error` if it
   *   takes too long
   */
  async load(member: Member, model: string): Promise<void> {
    this.#o.catalog.refuseConflict(model)
    const before = this.#loads.get(member)
    // begun synchronously if nothing is before it: the next request must see that the model is being loaded
    const load = before ? before.then(() => this.#load(member, model)) : this.#load(member, model)
    const ended = load.catch(() => undefined)
    this.#loads.set(member, ended)
    try {
      await load
    } finally {
      if (this.#loads.get(member) === ended) this.#loads.delete(member)
    }
  }

  /**
   * Writes `load` to a worker's ctl. If the worker is loading a model by itself, as it does at its start, waits for
   * that to end.
   */
  async #command(member: Member, model: string, signal: AbortSignal): Promise<void> {
    for (;;) {
      try {
        return await member.peer.command(`load ${quote(model)}\n`, signal)
      } catch (error) {
        if (!toFsError(error).is('fileBusy')) throw error
      }
      await sleep(this.#o.clock, REFRESH_PAUSE_MS, signal)
    }
  }

  async #load(member: Member, model: string): Promise<void> {
    member.loading = model
    const { boot, host_id } = member.report
    this.#o.fatal.begin(host_id, boot, model)
    let gone = false
    try {
      const late = () =>
        fail(
          'io',
          `${member.name} did not load ${model} within ${LOAD_MS / 60_000} minutes; write 'shutdown ${member.name}' to ctl to end it`,
        )
      // nothing interrupts a load: it goes on when the client that asked for it leaves
      await within(this.#o.clock, LOAD_MS, undefined, signal => this.#command(member, model, signal), late)
      this.#o.fatal.forgive(model)
    } catch (error) {
      const failure = toFsError(error)
      gone = failure.is('hungUp')
      // for a worker that is gone, `worker-left` and `worker-ended` say why
      if (!gone) this.#o.events.add('load-failed', { worker: member.name, model, error: failure.message })
      throw error
    } finally {
      this.#o.fatal.end(boot, gone)
      member.loading = undefined
      await this.#again(member)
    }
  }

  /** Frees a model on a member. @throws FsError the member's own error */
  async unload(member: Member, model: string): Promise<void> {
    // a load of it that is under way cannot be cancelled: wait for its end
    if (member.loading === model) await this.#loads.get(member)
    // a worker has one model; a cluster may have others besides
    if (member.report.kind === 'worker') await member.peer.command('unload\n')
    else {
      // its worker may be loading that model, which nothing cancels
      const late = () =>
        fail('io', `${member.name} did not unload ${model} within ${LOAD_MS / 60_000} minutes; try again`)
      const unload = (signal: AbortSignal) => member.peer.command(`unload ${quote(model)}\n`, signal)
      await within(this.#o.clock, LOAD_MS, undefined, unload, late)
    }
    await this.#again(member)
  }

  async #again(member: Member): Promise<void> {
    await member.peer.reported().catch(() => undefined)
    if (!member.left) this.#o.onEnd(member)
  }
}
