// Which model each worker is to hold: what ctl was told, so that a worker that is started again holds what it held.

import { fail } from '../../fs/errors.js'
import { quote } from '../../fs/quote.js'
import { DEFAULT_CLASS } from '../class.js'
import { MAX_WANTED } from './limits.js'
import type { Member } from './member.js'

/** A command that a worker has been given for good: to hold a model, or not to hold it. */
export interface Wanted {
  readonly verb: 'load' | 'unload'
  /** A name in models/, or a path. */
  readonly model: string
}

/** The commands `load` and `unload` that still apply, of the whole cluster and of single workers. */
export class WantedModels {
  #all: Wanted | undefined
  /** By the worker's name: names outlive a worker's process and the server. */
  readonly #own = new Map<string, Wanted>()
  /** By a worker's id, the start of it that has been asked for what it should hold, so that nobody asks twice. */
  readonly #asked = new Map<string, string>()

  /** The model that the whole cluster was told to load; undefined: none, so each worker keeps its class's. */
  get model(): string | undefined {
    return this.#all?.verb === 'load' ? modelName(this.#all.model) : undefined
  }

  /**
   * The model that a worker should hold.
   * @param model that of its class, where it has one
   */
  modelOf(member: Member, model: string | undefined): string | undefined {
    const wanted = this.of(member)
    const own = model && modelName(model)
    if (!wanted) return own
    if (wanted.verb === 'load') return modelName(wanted.model)
    return own === modelName(wanted.model) ? undefined : own
  }

  /**
   * The model that a worker's next process should load first: a name or a path, or `none`; empty: that of its class.
   * @param member absent: a worker of the default class that has no name yet
   * @param model that of its class, where it has one
   */
  holdOf(member: Member | undefined, model: string | undefined): string {
    const wanted = member ? this.of(member) : this.#all
    if (!wanted) return ''
    const own = modelName(wanted.model) === (model && modelName(model))
    if (wanted.verb === 'unload') return own ? 'none' : ''
    return own ? '' : wanted.model
  }

  /** The commands that would set this again. */
  get lines(): string[] {
    const line = ({ verb, model }: Wanted, ...worker: string[]) => [verb, model, ...worker].map(quote).join(' ')
    return [...(this.#all ? [line(this.#all)] : []), ...[...this.#own].map(([name, wanted]) => line(wanted, name))]
  }

  /** Remembers a command for one worker. @throws FsError `bad argument` where there are too many */
  setOne(name: string, wanted: Wanted): void {
    if (!this.#own.has(name) && this.#own.size >= MAX_WANTED)
      throw fail('badArgument', `${wanted.verb}: ${MAX_WANTED} workers have a model of their own; load it on all`)
    this.#own.set(name, wanted)
  }

  /**
   * Remembers a command for the whole cluster. It replaces what single workers were told. A worker that comes later holds the
   * model if it is of the default class; other classes have their own.
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

  /** A worker has been ended for good: another may get its name. */
  forget(name: string): void {
    this.#own.delete(name)
  }

  /** Forgets what the whole cluster was told. */
  clear(): void {
    this.#all = undefined
  }

  /** What a worker should hold, as far as it was told. */
  of(member: Member): Wanted | undefined {
    return this.#own.get(member.name) ?? (isDefault(member) ? this.#all : undefined)
  }

  /**
   * The command that a worker which has just started still needs; undefined: it holds what it should, or this start of it has
   * been asked before. What was loaded on it meanwhile for a single request stays.
   */
  due(member: Member): Wanted | undefined {
    const { id, boot, loading } = member.report
    // a worker refuses a second model while it loads a first
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

/** What a model that is given by name or by path is called. */
export const modelName = (model: string): string => /([^/]*)\.gguf$/i.exec(model)?.[1] ?? model
