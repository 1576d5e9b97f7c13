/**
 * Which model each worker should hold, as `load` and `unload` in ctl said, so that a worker that is started again holds
 * it again.
 */

import { fail } from '../../../api/errors.js'
import { DEFAULT_CLASS } from '../../../api/report.js'
import { quote } from '../../../fs/base/quote.js'
import { MAX_WANTED } from '../limits.js'
import type { Member } from '../members/member.js'

/** A command that lasts: to hold a model, or not to hold it. */
export interface Wanted {
  readonly verb: 'load' | 'unload'
  /** A name in models/, or a path. */
  readonly model: string
}

/** The `load` and `unload` commands that still apply, to the whole cluster and to single workers. */
export class WantedModels {
  #all: Wanted | undefined
  /** By the worker's name, because names outlive a worker's process and the server. */
  readonly #own = new Map<string, Wanted>()
  /**
   * By a worker's id, the `boot` of the process that due() has been asked about, so that each is brought to its model
   * once.
   */
  readonly #asked = new Map<string, string>()

  /**
   * The model that the whole cluster was told to load; undefined if there is none, so that each worker keeps its
   * class's.
   */
  get model(): string | undefined {
    return this.#all?.verb === 'load' ? modelName(this.#all.model) : undefined
  }

  /**
   * The model that a worker should hold.
   * @param model the model of its class, if there is one
   */
  modelOf(member: Member, model: string | undefined): string | undefined {
    const wanted = this.of(member)
    const own = model && modelName(model)
    if (!wanted) return own
    if (wanted.verb === 'load') return modelName(wanted.model)
    return own === modelName(wanted.model) ? undefined : own
  }

  /**
   * The model that a worker's next process should load first: a name or a path, or `none`; empty: the model of its
   * class.
   * @param member undefined: a worker of the default class that has no name yet
   * @param model the model of its class, if there is one
   */
  holdOf(member: Member | undefined, model: string | undefined): string {
    const wanted = member ? this.of(member) : this.#all
    if (!wanted) return ''
    const own = modelName(wanted.model) === (model && modelName(model))
    if (wanted.verb === 'unload') return own ? 'none' : ''
    return own ? '' : wanted.model
  }

  /** The commands that would restore this. */
  get lines(): string[] {
    const line = ({ verb, model }: Wanted, ...worker: string[]) => [verb, model, ...worker].map(quote).join(' ')
    return [...(this.#all ? [line(this.#all)] : []), ...[...this.#own].map(([name, wanted]) => line(wanted, name))]
  }

  /** Remembers a command for one worker. @throws FsError `bad argument` if there are too many */
  setOne(name: string, wanted: Wanted): void {
    if (!this.#own.has(name) && this.#own.size >= MAX_WANTED)
      throw fail(
        'badArgument',
        `${wanted.verb}: ${MAX_WANTED} workers already have a setting of their own; ${wanted.verb} the model on all workers`,
      )
    this.#own.set(name, wanted)
  }

  /**
   * Remembers a command for the whole cluster. It replaces commands for single workers. A worker that joins later holds
   * the model if it is of the default class; other classes have models of their own.
   * @param members those that the command has reached
   */
  setAll(wanted: Wanted, members: Iterable<Member>): void {
    if (wanted.verb === 'load' || modelName(wanted.model) === (this.model ?? modelName(wanted.model)))
      this.#all = wanted
    for (const member of members) {
      if (isDefault(member)) this.#own.delete(member.name)
      else this.setOne(member.name, wanted)
    }
  }

  /** Forgets the command for a worker that was shut down for good: another may get its name. */
  forget(name: string): void {
    this.#own.delete(name)
  }

  /** Forgets the command for the whole cluster. */
  clear(): void {
    this.#all = undefined
  }

  /** The command that applies to a worker, if there is one. */
  of(member: Member): Wanted | undefined {
    return this.#own.get(member.name) ?? (isDefault(member) ? this.#all : undefined)
  }

  /**
   * The command that a worker which has just started still needs. undefined: the worker holds what it should, or due()
   * was asked about this process before. So a model that has since been loaded on it for a single request stays.
   */
  due(member: Member): Wanted | undefined {
    const { id, boot, loading } = member.report
    // a worker refuses a second load during the first
    if (this.#asked.get(id) === boot || loading !== '') return undefined
    this.#asked.delete(id)
    this.#asked.set(id, boot)
    if (this.#asked.size > MAX_WANTED) this.#asked.delete(this.#asked.keys().next().value!)
    const wanted = this.of(member)
    if (!wanted) return undefined
    return member.has(modelName(wanted.model)) === (wanted.verb === 'load') ? undefined : wanted
  }
}

const isDefault = ({ report }: Member) => report.class === '' || report.class === DEFAULT_CLASS

/** The name of a model that is given by name or by path. */
export const modelName = (model: string): string => /([^/]*)\.gguf$/i.exec(model)?.[1] ?? model
