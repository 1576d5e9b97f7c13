/** Loads, replaces and unloads the engine of a worker. */

import { fail, toFsError } from '../../api/errors.js'
import { type Clock, systemClock, timeLimit } from '../../fs/base/clock.js'
import type { Engine } from './engine/engine.js'
import { LOAD_TIMEOUT_MS } from './limits.js'

/** The settings an engine is opened with. */
export interface EngineSettings {
  slots: number
  /** Tokens per slot; undefined: the engine decides. */
  context?: number
}

/** Opens an engine. @param progress called with how much has been read, 0 to 1, as far as that is known */
export type OpenEngine = (
  model: string,
  settings: EngineSettings,
  signal: AbortSignal,
  progress: (share: number) => void,
) => Promise<Engine>

/** An engine and the number of tasks that run on it. */
export interface Loaded {
  readonly engine: Engine
  /** The argument of `load`: a name, or a path. */
  readonly asked: string
  running: number
  retired: boolean
}

/**
 * Holds the one engine of a worker, and replaces it without losing a task. The new engine is opened while the old one
 * serves, takes over when it is ready, and the old one is closed after its last task. A failed load changes nothing.
 */
export class Loader {
  current: Loaded | undefined
  /** The model that is being opened. */
  loading: string | undefined
  /** How much of it has been read, 0 to 1. */
  progress = 0
  settings: EngineSettings
  /** The last argument of `load`, for a reload with other settings. */
  #model: string | undefined
  #controller: AbortController | undefined

  constructor(
    readonly open: OpenEngine,
    settings: EngineSettings,
    /** Called whenever `current` or `loading` has changed. */
    readonly onChange: (
      kind: 'loading' | 'loaded' | 'load-failed' | 'unloaded' | 'unload-failed',
      model: string,
      error?: Error,
    ) => void,
    /** The clock that limits the time of a load. */
    readonly clock: Clock = systemClock,
  ) {
    this.settings = settings
  }

  async load(model: string, settings: EngineSettings = this.settings): Promise<void> {
    if (this.loading !== undefined) throw fail('fileBusy', `${this.loading} is being loaded`)
    this.loading = model
    this.progress = 0
    this.#controller = new AbortController()
    const signal = AbortSignal.any([this.#controller.signal, timeLimit(LOAD_TIMEOUT_MS, this.clock)])
    this.onChange('loading', model)
    try {
      const engine = await this.open(model, settings, signal, share => {
        this.progress = share
      })
      if (signal.aborted) {
        // the load was aborted, but the engine opened all the same
        this.#free(engine)
        throw signal.reason
      }
      const old = this.current
      this.current = { engine, asked: model, running: 0, retired: false }
      this.settings = settings
      this.#model = model
      if (old) this.#retire(old)
    } catch (error) {
      this.loading = undefined
      const failure = toFsError(signal.aborted ? signal.reason : error)
      this.onChange('load-failed', model, failure)
      throw failure
    }
    this.loading = undefined
    this.onChange('loaded', model)
  }

  /** Opens the model again with other settings. Before the first load the settings are only stored. */
  async set(changes: Partial<EngineSettings>): Promise<void> {
    const settings = { ...this.settings, ...changes }
    if (settings.slots === this.settings.slots && settings.context === this.settings.context) return
    if (this.loading !== undefined) throw fail('fileBusy', `${this.loading} is being loaded`)
    if (this.#model === undefined) this.settings = settings
    else await this.load(this.#model, settings)
  }

  unload(): void {
    const old = this.current
    if (!old) throw fail('loading')
    this.current = undefined
    this.#model = undefined
    this.#retire(old)
    this.onChange('unloaded', old.engine.model.name)
  }

  /** Called when a task has ended on that engine. */
  release(loaded: Loaded): void {
    loaded.running--
    if (loaded.retired && loaded.running === 0) this.#free(loaded.engine)
  }

  async close(): Promise<void> {
    this.#controller?.abort(fail('shuttingDown'))
    const old = this.current
    this.current = undefined
    await old?.engine.close()
  }

  #retire(old: Loaded): void {
    old.retired = true
    if (old.running === 0) this.#free(old.engine)
  }

  /** Closes an engine that nothing runs on. A failure is only reported. */
  #free(engine: Engine): void {
    engine.close().catch(error => this.onChange('unload-failed', engine.model.name, toFsError(error)))
  }
}
