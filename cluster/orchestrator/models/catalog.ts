/** The models of all workers: which there are, where they are loaded, and which answers a request that names none. */

import { fail } from '../../../api/errors.js'
import { DEFAULT_CLASS, type ModelRecord } from '../../../api/report.js'
import type { Request } from '../../../api/request.js'
import type { Change } from '../members/changes.js'
import type { Hosts } from '../members/hosts.js'
import type { Member } from '../members/member.js'
import type { Membership } from '../members/membership.js'
import type { FatalLoads } from './fatal-loads.js'
import { modelName, type WantedModels } from './wanted.js'

/** A model of the cluster: one name, on any number of workers. */
export interface ClusterModel extends ModelRecord {
  /** Workers that have it loaded. */
  readonly workers: number
  /** Whether workers have different files of this name. */
  readonly conflict: boolean
}

export class Catalog {
  /** By name, how many members list a model, and how many have it loaded; and the latter by digest. */
  readonly #listed = new Map<string, number>()
  readonly #loaded = new Map<string, number>()
  readonly #digests = new Map<string, number>()
  /** By member, the models that it was last counted with. */
  readonly #counted = new Map<Member, readonly ModelRecord[]>()
  /** By model name, whether any worker should hold the model. A missing entry has yet to be computed. */
  readonly #held = new Map<string, boolean>()

  constructor(
    readonly membership: Membership,
    readonly hosts: Hosts,
    readonly wanted: WantedModels,
    readonly fatal: FatalLoads,
    /** The name of the host that we are on. */
    readonly local: string,
  ) {}

  /** A subscriber to changes. */
  changed({ member }: Change): void {
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
    const model = this.wanted.model ?? this.classModel(this.local, DEFAULT_CLASS)
    if (model === undefined || !this.#listed.has(model)) return undefined
    return this.#loaded.has(model) || this.#isHeld(model) ? model : undefined
  }

  #isHeld(model: string): boolean {
    let held = this.#held.get(model)
    if (held === undefined) {
      held = [...this.membership.members.values()].some(
        member =>
          this.wanted.modelOf(member, this.classModel(this.hosts.nameOf(member), member.report.class)) === model,
      )
      this.#held.set(model, held)
    }
    return held
  }

  /** The model that workers of a host's class start with. */
  classModel(host: string, name: string): string | undefined {
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

  /** How many members have a model loaded. */
  copies(model: string): number {
    return this.#loaded.get(model) ?? 0
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
  refuseConflict(model: string): void {
    if (this.list().some(({ name, conflict }) => name === model && conflict))
      throw fail(
        'badArgument',
        `load ${model}: workers have different files of that name (conflict in status); remove or rename one`,
      )
  }

  #has({ report }: Member, model: string): boolean {
    return report.kind === 'worker' && report.models.some(m => m.name === model && !m.problem)
  }
}

function add(counts: Map<string, number>, key: string, by: number): void {
  const count = (counts.get(key) ?? 0) + by
  if (count > 0) counts.set(key, count)
  else counts.delete(key)
}
