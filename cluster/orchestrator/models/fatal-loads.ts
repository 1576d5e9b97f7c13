/** Models whose load has crashed a worker, so that the cluster does not crash others with them. */

import { fail } from '../../../api/errors.js'
import type { Clock } from '../../../fs/base/clock.js'
import { crashSignals } from '../dispatch/poison.js'
import { MAX_POISONS, OBITUARY_MS } from '../limits.js'

/** By itself the cluster loads such a model on no other worker, until somebody loads it by name and that succeeds. */
export class FatalLoads {
  /**
   * By `boot`, the model that a worker is loading. Kept for a while after the worker is gone: its host may still report
   * a crash.
   */
  readonly #loading = new Map<string, { readonly host_id: string; readonly model: string }>()
  readonly #models = new Set<string>()

  constructor(readonly clock: Clock) {}

  /** A worker of this host starts to load a model. */
  begin(host_id: string, boot: string, model: string): void {
    this.#loading.set(boot, { host_id, model })
  }

  /** The load is over. @param gone whether the worker's connection is gone: the load may have crashed the worker */
  end(boot: string, gone: boolean): void {
    if (gone) this.clock.after(OBITUARY_MS, () => this.#loading.delete(boot), true)
    else this.#loading.delete(boot)
  }

  /**
   * A host reports that a signal ended a worker; it is believed about its own only.
   * @returns the model whose load may be the cause
   */
  died(host_id: string, boot: string, signal: string): string | undefined {
    const { model, host_id: own } = this.#loading.get(boot) ?? {}
    if (model === undefined || host_id !== own || !crashSignals.includes(signal)) return undefined
    this.#models.add(model)
    if (this.#models.size > MAX_POISONS) this.#models.delete(this.#models.values().next().value!)
    return model
  }

  /** The model could be loaded after all. */
  forgive(model: string): void {
    this.#models.delete(model)
  }

  has(model: string): boolean {
    return this.#models.has(model)
  }

  /** @throws FsError `model file is damaged` for a model that has crashed a worker */
  check(model: string): void {
    if (this.#models.has(model))
      throw fail('badModel', `a worker ended while it loaded ${model}; write 'load ${model}' to ctl to try again`)
  }
}
