import type { Clock } from '../../fs/clock.js'
import { fail } from '../../fs/errors.js'
import { MAX_POISONS, OBITUARY_MS } from './limits.js'
import { ownSignals } from './poison.js'

/**
 * Models whose load has ended a worker by its own signal: the cluster gives them to no other worker by itself, until somebody loads
 * one by name and that succeeds.
 */
export class FatalLoads {
  /** By a worker's start, the model it loads; kept after its end until its host has said what it died of. */
  readonly #loading = new Map<string, { readonly host_id: string; readonly model: string }>()
  readonly #models = new Set<string>()

  constructor(readonly clock: Clock) {}

  /** A worker of that host begins to load. */
  begin(host_id: string, boot: string, model: string): void {
    this.#loading.set(boot, { host_id, model })
  }

  /** The load has ended. @param gone with the connection: the worker may have ended because of it */
  end(boot: string, gone: boolean): void {
    if (gone) this.clock.after(OBITUARY_MS, () => this.#loading.delete(boot), true)
    else this.#loading.delete(boot)
  }

  /** A host says that a worker has ended by a signal, and is believed of its own. @returns the model whose load may be why */
  died(host_id: string, boot: string, signal: string): string | undefined {
    const { model, host_id: own } = this.#loading.get(boot) ?? {}
    if (model === undefined || host_id !== own || !ownSignals.includes(signal)) return undefined
    this.#models.add(model)
    if (this.#models.size > MAX_POISONS) this.#models.delete(this.#models.values().next().value!)
    return model
  }

  /** It can be loaded after all. */
  forgive(model: string): void {
    this.#models.delete(model)
  }

  has(model: string): boolean {
    return this.#models.has(model)
  }

  /** @throws FsError `model file is damaged` for a model that has ended a worker */
  check(model: string): void {
    if (this.#models.has(model))
      throw fail('badModel', `a worker ended while it loaded ${model}; 'load ${model}' in ctl tries it again`)
  }
}
