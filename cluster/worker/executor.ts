/** Runs the tasks of a worker on its engine. */

import { fail, toFsError } from '../../api/errors.js'
import type { Request } from '../../api/request.js'
import type { Executor } from '../root/executor.js'
import type { Task } from '../root/task.js'
import type { Engine } from './engine/engine.js'
import { STUCK_MS, STUCK_PER_CHARACTER_MS } from './limits.js'
import type { Loaded, Loader } from './loader.js'

export class EngineExecutor implements Executor {
  draining = false
  readonly #running = new Set<Task>()

  constructor(
    readonly loader: Loader,
    /** The worker's name, which may change. */
    readonly name: () => string,
  ) {}

  get slots(): number {
    return this.loader.current?.engine.slots ?? 0
  }

  get active(): number {
    return this.loader.current?.running ?? 0
  }

  get free(): boolean {
    return this.active < this.slots
  }

  /** The number of answers that were told to stop long ago and still run. */
  stuck(now: number): number {
    let stuck = 0
    for (const { stoppedAt = now, size } of this.#running)
      if (now - stoppedAt > STUCK_MS + size * STUCK_PER_CHARACTER_MS) stuck++
    return stuck
  }

  accept(): void {
    if (this.draining)
      throw fail('shuttingDown', 'this worker is draining and accepts no new prompts; write resume to its ctl')
    if (!this.loader.current && this.loader.loading === undefined)
      throw fail('loading', "write 'load MODEL' to ctl; models/ lists the models")
  }

  /** Refuses any model that this worker has not loaded and is not loading. */
  known({ model }: Pick<Request, 'model'>): void {
    if (model === undefined) return
    const { current, loading } = this.loader
    if (!(current && is(current, model)) && model !== loading) throw this.#unknown(model)
  }

  /** The model may have been replaced while the task waited; a task that asked for the old one is refused. */
  start(task: Task): Promise<'ended'> | undefined {
    const { loader } = this
    const loaded = loader.current
    if (!loaded || !this.free) return undefined
    const { model, digest } = task.request
    if (model !== undefined && !is(loaded, model)) {
      if (model === loader.loading) return undefined
      throw this.#unknown(model)
    }
    const here = loaded.engine.model
    if (digest !== undefined && digest !== here.digest)
      throw fail(
        'badArgument',
        `digest: ${here.name} has ${here.digest ? `the digest ${here.digest}` : 'no digest'} on this worker`,
      )
    loaded.running++
    task.starts(this.name(), here.name)
    this.#running.add(task)
    return run(task, loaded.engine).then(() => {
      this.#running.delete(task)
      loader.release(loaded)
      return 'ended'
    })
  }

  coming(): boolean {
    return this.loader.loading !== undefined
  }

  #unknown(model: string): Error {
    const here = this.loader.current?.engine.model.name
    return fail('noWorker', `${model}${here ? `; loaded: ${here}` : ''}; models/ lists what can be loaded`)
  }
}

/** Whether an engine is the one that a request names: by the model's name, or by the argument of `load`. */
const is = ({ engine, asked }: Loaded, model: string) => model === engine.model.name || model === asked

/** Runs a task on an engine until it ends. Never rejects. */
async function run(task: Task, engine: Engine): Promise<void> {
  try {
    for await (const chunk of engine.generate({ ...task.request.generate, ...task.sampling }, task.signal)) {
      if (chunk.event === 'start') task.prefilled(chunk.prompt_tokens, chunk.reused)
      else if (chunk.event === 'prefill') task.prefills(chunk.tokens)
      else if (chunk.event === 'alive') task.alive()
      else if (chunk.event === 'token') task.token(chunk.text, chunk.ids)
      else task.counts(chunk)
    }
    task.settle()
  } catch (error) {
    task.settle(task.stopped ?? toFsError(error))
  }
}
