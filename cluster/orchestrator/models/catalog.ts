/** The models of all workers: which there are, where they are loaded, and loading one that is asked for. */

import { fail, toFsError } from '../../../api/errors.js'
import { DEFAULT_CLASS, type ModelRecord } from '../../../api/report.js'
import { type Clock, sleep } from '../../../fs/base/clock.js'
import { within } from '../../../fs/base/interruptible.js'
import { quote } from '../../../fs/base/quote.js'
import type { Created, File, Owner } from '../../../fs/file.js'
import { union } from '../../../fs/kit/dir.js'
import type { EventLog } from '../../../fs/kit/event-log.js'
import type { Request } from '../../root/request.js'
import { LOAD_MS, REFRESH_PAUSE_MS } from '../limits.js'
import type { Hosts } from '../members/hosts.js'
import type { Member } from '../members/member.js'
import type { Membership } from '../members/membership.js'
import type { Peer } from '../members/peer.js'
import { FatalLoads } from './fatal-loads.js'
import { modelName, type WantedModels } from './wanted.js'

/** Nothing interrupts a load: it goes on when the client that asked for it leaves. */
const never = new AbortController().signal
/** The least time between two searches for a worker to load a model on, in ms. */
const PAUSE_MS = 200

/** A model of the cluster: one name, on any number of workers. */
export interface ClusterModel extends ModelRecord {
  /** Workers that have it loaded. */
  readonly workers: number
  /** Whether workers have different files of this name. */
  readonly conflict: boolean
}

export class Models {
  /** By name, how many members list a model, and how many have it loaded; and the latter by digest. */
  readonly #listed = new Map<string, number>()
  readonly #loaded = new Map<string, number>()
  readonly #digests = new Map<string, number>()
  /** By member, the models that it was last counted with. */
  readonly #counted = new Map<Member, readonly ModelRecord[]>()
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
  readonly fatal: FatalLoads
  /** By model name, whether any worker should hold the model. A missing entry has yet to be computed. */
  readonly #held = new Map<string, boolean>()

  constructor(
    readonly membership: Membership,
    readonly hosts: Hosts,
    readonly wanted: WantedModels,
    readonly clock: Clock,
    /** The name of the host that we are on. */
    readonly local: string,
    /** Called when a model could not be loaded for requests that wait for it: they must fail. */
    readonly onFailed: (model: string, error: Error) => void,
    /** Called when a load or an unload on a member is over. */
    readonly onChange: (member: Member) => void,
    readonly events: EventLog,
  ) {
    this.fatal = new FatalLoads(clock)
  }

  /** A member has joined, left or reported a new status. */
  changed(member: Member): void {
    const now = member.left ? [] : member.report.models
    const before = this.#counted.get(member) ?? []
    if (now === before) return
    const count = (models: readonly ModelRecord[], by: number) => {
      for (const { name, loaded, digest } of models) {
        add(this.#listed, name, by)
        if (loaded) add(this.#loaded, name, by)
        if (loaded && digest) add(this.#digests, digest, by)
      }
    }
    count(before, -1)
    count(now, 1)
    if (member.left || !this.#counted.has(member)) this.#held.clear()
    if (member.left) this.#counted.delete(member)
    else this.#counted.set(member, now)
    if (member.left || member.report.kind !== 'worker') return
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
    this.events.add('load-failed', { worker: member.name, model: before?.loading, error })
  }

  /** Tells a worker's host which model the worker's next process should load first. */
  #tellHost(member: Member): void {
    const host = this.hosts.of(member)
    const { id, host_id, class: of } = member.report
    if (host?.report.id !== host_id) return
    const wanted = this.wanted.holdOf(member, this.#classModel(this.hosts.nameOf(member), of))
    const hold = this.fatal.has(wanted) ? '' : wanted
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
    const due = this.wanted.due(member)
    if (!due || (due.verb === 'load' && this.fatal.has(due.model))) return
    const { verb, model } = due
    void this[verb](member, model).catch(error =>
      this.events.add('not-restored', {
        worker: member.name,
        setting: `${verb} ${model}`,
        error: toFsError(error).message,
      }),
    )
  }

  /** Which models workers should hold has changed: by a command, or because a host joined or left. */
  rewanted(): void {
    this.#held.clear()
  }

  /**
   * The model that answers requests that name none, so that the cluster does not answer them now with one model and now
   * with another: the model that `load` was last given for the whole cluster, or else that of the default class of our
   * own host. undefined: no worker should hold that model, so any model may answer.
   */
  get plain(): string | undefined {
    const model = this.wanted.model ?? this.#classModel(this.local, DEFAULT_CLASS)
    if (model === undefined || !this.#listed.has(model)) return undefined
    return this.#loaded.has(model) || this.#isHeld(model) ? model : undefined
  }

  #isHeld(model: string): boolean {
    let held = this.#held.get(model)
    if (held === undefined) {
      held = [...this.membership.members.values()].some(
        member =>
          this.wanted.modelOf(member, this.#classModel(this.hosts.nameOf(member), member.report.class)) === model,
      )
      this.#held.set(model, held)
    }
    return held
  }

  /** The model that workers of a host's class start with. */
  #classModel(host: string, name: string): string | undefined {
    const classes = this.hosts.peers.get(host)?.report.classes ?? []
    const model = classes.find(one => one.name === (name || DEFAULT_CLASS))?.model
    return model ? modelName(model) : undefined
  }

  /**
   * Checks that a request can be answered. Before the first member has joined nothing is known, and every request may
   * wait.
   * @throws FsError for a model that no member has; for any request while no model is loaded or being loaded
   */
  known({ model, digest }: Request): void {
    if (this.membership.members.size === 0) return
    const { plain } = this
    if (
      model === undefined &&
      this.#loaded.size === 0 &&
      !this.coming({ model }) &&
      !(plain !== undefined && this.holders(plain).length > 0)
    )
      throw fail('loading', "write 'load MODEL' to ctl; models/ lists the models")
    if (model !== undefined && !this.#loaded.has(model)) this.fatal.check(model)
    if (model !== undefined && !this.#listed.has(model) && !this.coming({ model })) {
      const here = [...this.#loaded.keys()].slice(0, 5).join(', ')
      throw fail('noWorker', `${model}${here ? `; loaded: ${here}` : ''}; models/ lists what can be loaded`)
    }
    if (digest !== undefined && !this.#digests.has(digest))
      throw fail('noWorker', `a model with the digest ${JSON.stringify(digest)}`)
  }

  /** Whether the model that answers a request is being loaded; if any model may answer it, whether any is. */
  coming({ model = this.plain }: Pick<Request, 'model'>): boolean {
    for (const { loading, report } of this.membership.members.values()) {
      const coming = loading ?? report.loading
      if (coming && (model === undefined || coming === model)) return true
    }
    return false
  }

  /** The only model that is loaded; undefined if there are none or several. */
  get only(): string | undefined {
    return this.#loaded.size === 1 ? this.#loaded.keys().next().value : undefined
  }

  /**
   * Starts loading the model of a request, if no worker has it ready: on the idle worker that was least recently used.
   * A worker that is generating is never taken.
   * @returns whether the model is ready somewhere or being loaded
   */
  bring({ model = this.plain }: Request): boolean {
    if (model === undefined || this.#loaded.has(model)) return true
    const now = this.clock.now()
    if (now < this.#notBefore) return false
    this.#notBefore = now + PAUSE_MS
    if (this.coming({ model })) return true
    if (this.fatal.has(model)) return false
    const idle = [...this.membership.members.values()].filter(
      member => member.active === 0 && member.loading === undefined && this.#has(member, model) && !member.draining,
    )
    const { plain } = this
    const last = plain !== undefined && this.#loaded.get(plain) === 1 ? plain : undefined
    // the last worker with the model of plain prompts is taken only if there is no other
    const [oldest] = idle.sort((a, b) => Number(a.has(last)) - Number(b.has(last)) || a.lastUsed - b.lastUsed)
    if (!oldest) return false
    void this.load(oldest, model).catch(error => this.onFailed(model, toFsError(error)))
    return true
  }

  /**
   * Loads a model on a member, after the loads that the member was given before. Resolves when it is loaded.
   * @throws FsError `bad argument` if there are different files of that name; the member's own error; `i/o error` if it
   *   takes too long
   */
  async load(member: Member, model: string): Promise<void> {
    this.#refuseConflict(model)
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
      await sleep(this.clock, REFRESH_PAUSE_MS, signal)
    }
  }

  async #load(member: Member, model: string): Promise<void> {
    member.loading = model
    const { boot, host_id } = member.report
    this.fatal.begin(host_id, boot, model)
    let gone = false
    try {
      const why = `${member.name} did not load ${model} within ${LOAD_MS / 60_000} minutes; write 'shutdown ${member.name}' to ctl to end it`
      await within(
        this.clock,
        LOAD_MS,
        never,
        () => fail('io', why),
        signal => this.#command(member, model, signal),
      )
      this.fatal.forgive(model)
    } catch (error) {
      const failure = toFsError(error)
      gone = failure.is('hungUp')
      // for a worker that is gone, `worker-left` and `worker-ended` say why
      if (!gone) this.events.add('load-failed', { worker: member.name, model, error: failure.message })
      throw error
    } finally {
      this.fatal.end(boot, gone)
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
      await within(this.clock, LOAD_MS, never, late, unload)
    }
    await this.#again(member)
  }

  /** Members that could load a model: their host has the file. */
  holders(model: string): Member[] {
    return [...this.membership.members.values()].filter(member => this.#has(member, model))
  }

  /** Members that have a model loaded, or are loading it for this cluster. */
  loadedOn(model: string): Member[] {
    return [...this.membership.members.values()].filter(member => member.has(model) || member.loading === model)
  }

  /** All models, each name once. */
  list(): ClusterModel[] {
    const byName = new Map<string, ClusterModel>()
    const files = new Map<string, { machine: string; size: number }>()
    for (const member of this.membership.members.values()) {
      const machine = this.hosts.machineOf(member)
      for (const model of member.report.models) {
        const before = byName.get(model.name)
        // Only the digest of a loaded model is known, so files that are not loaded are compared by size. A loaded model
        // has the size of the file as it was then, and the file may have been replaced since.
        const file = files.get(model.name)
        const { size } = model
        const compared = size > 0 && !model.loaded && !model.problem
        if (!file && compared) files.set(model.name, { machine, size })
        const conflict =
          before && before.digest !== '' && model.digest !== ''
            ? before.digest !== model.digest
            : compared && file !== undefined && file.machine !== machine && file.size !== size
        const best = !before || (model.loaded && !before.loaded) ? model : before
        byName.set(model.name, {
          ...best,
          digest: best.digest || model.digest || (before?.digest ?? ''),
          workers: (before?.workers ?? 0) + (model.loaded ? 1 : 0),
          conflict: (before?.conflict ?? false) || conflict,
        })
      }
    }
    return [...byName.values()]
  }

  /** @throws FsError `bad argument` if workers have different files of this name */
  #refuseConflict(model: string): void {
    if (this.list().some(({ name, conflict }) => name === model && conflict))
      throw fail(
        'badArgument',
        `load ${model}: workers have different files of that name (conflict in status); remove or rename one`,
      )
  }

  #has({ report }: Member, model: string): boolean {
    return report.kind === 'worker' && report.models.some(m => m.name === model && !m.problem)
  }

  async #again(member: Member): Promise<void> {
    await member.peer.reported().catch(() => undefined)
    if (!member.left) this.onChange(member)
  }

  /**
   * The members through which the hosts' model stores are reached. The workers of a host share its store. Two workers
   * are taken of each host, so that a worker that hangs does not make the store unreachable; those that answer come
   * first, and our own host before the others.
   */
  stores(local: string): Member[] {
    const hosts = new Map<string, Member[]>([[local, []]])
    for (const member of this.membership.members.values()) {
      const host = this.hosts.machineOf(member)
      const others = hosts.get(host)
      if (others) others.push(member)
      else hosts.set(host, [member])
    }
    const inDoubt = ({ suspect, peer }: Member) => Number(suspect || peer.refreshing)
    return [...hosts.values()].flatMap(members => members.sort((a, b) => inDoubt(a) - inDoubt(b)).slice(0, 2))
  }

  /**
   * `models/`: the union of the hosts' stores. A file that is created there is created on our own host.
   * @param local the name of the host that we are on
   */
  dir(owner: Owner, local: string): File {
    const storeOf = async (member: Member, ctx: Parameters<NonNullable<File['walk']>>[1]) =>
      await member.peer.root.walk?.('models', ctx)
    const lazily = (member: Member): File => ({
      ...member.peer.root,
      qid: member.peer.root.qid,
      attributes: ctx => member.peer.root.attributes(ctx),
      walk: async (name, ctx) => (await storeOf(member, ctx))?.walk?.(name, ctx),
      open: async (mode, ctx) => {
        const store = await storeOf(member, ctx)
        if (!store) throw fail('notFound', 'models')
        return store.open(mode, ctx)
      },
    })
    return {
      ...union(() => this.stores(local).map(lazily), owner, 0o775, this.clock),
      create: async (name, perm, mode, ctx): Promise<Created> => {
        const [first] = this.stores(local)
        const own = first && this.hosts.machineOf(first) === local ? await storeOf(first, ctx) : undefined
        if (own?.create) return own.create(name, perm, mode, ctx)
        const other = first?.name ?? 'worker-NNNN'
        throw fail('notPermitted', `no worker is on this machine; write to ${other}/models/${name}`)
      },
    }
  }
}

function add(counts: Map<string, number>, key: string, by: number): void {
  const count = (counts.get(key) ?? 0) + by
  if (count > 0) counts.set(key, count)
  else counts.delete(key)
}
