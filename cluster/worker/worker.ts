/** A worker: one engine served as files. */

import { fail } from '../../api/errors.js'
import type { EventAttributes, Events } from '../../api/events.js'
import { shown } from '../../api/field.js'
import type { Sampling } from '../../api/sampling.js'
import { type Clock, systemClock } from '../../fs/base/clock.js'
import { quote } from '../../fs/base/quote.js'
import type { File, Owner, User } from '../../fs/file.js'
import { word, word1 } from '../../fs/kit/ctl.js'
import { dir } from '../../fs/kit/dir.js'
import { EventLog } from '../../fs/kit/event-log.js'
import { hexId } from '../id.js'
import type { Budget } from '../root/budget.js'
import * as limits from '../root/limits.js'
import { Root } from '../root/root.js'
import { modelWord, number } from '../root/settings.js'
import { EngineExecutor } from './executor.js'
import { type Machine, thisMachine } from './hardware.js'
import { listing } from './listing.js'
import { Loader, type OpenEngine } from './loader.js'
import type { ModelStore } from './models.js'
import { stateOf, statusText } from './status.js'

export interface WorkerOptions {
  /** The name of the worker in a tree: `worker-0001`. The cluster that it joins may give it another name. */
  name: string
  version: string
  /** The user of this process, who owns the files. */
  owner: Owner
  store: ModelStore
  /** Checks the file of a model, given by name or path, and opens an engine for it. */
  open: OpenEngine
  slots: number
  context?: number
  /** The sampling for a model's prompts where nobody has set anything: a small model should be greedy. */
  defaults?: (model: string) => Partial<Sampling>
  /** The lines of `namespace` besides the worker's own files: where each part comes from, as ns(1) prints it. */
  mounts?: () => string[]
  /** Called when `shutdown` is written to ctl. */
  shutdown(): void
  /** Called when the cluster that was dialled refuses this worker, with the reason. */
  refused?(why: string): void
  /** The memory that may be kept for users; unlimited if omitted. */
  budget?: Budget
  clock?: Clock
  random?: () => number
  /** The worker's id, and the id of this start of it; random if omitted. */
  id?: string
  boot?: string
  /** The name of its machine, the id of its host, and the class of workers it was started as. */
  host?: string
  host_id?: string
  class?: string
  /** What its model is for, such as `code`; `text` if omitted. */
  type?: string
  /** 0 to 100: of the workers that could answer, those with the highest value go first; 0 if omitted. */
  prefer?: number
  /** The hardware it runs on; detected if omitted. */
  machine?: Machine
}

/** A running worker. */
export interface Worker {
  /** The worker's files. */
  readonly root: File
  readonly events: Events
  load(model: string): Promise<void>
  /** Stops accepting prompts. @returns when the running ones have ended */
  drain(): Promise<void>
  /** Keeps a user's last failure for their `error` file. Called for each failure that a request is answered with. */
  failed(error: Error, user: User, file: string): void
  /** Clears the `error` file of a user. Called after each successful write. */
  succeeded(user: User): void
  /** Ends all exchanges with `shutting down` and frees the model. */
  close(): Promise<void>
}

/** Makes a worker: one engine, served as the files of docs/files.md. */
export function createWorker(o: WorkerOptions): Worker {
  const { owner, store, clock = systemClock, random = Math.random } = o
  const identity = {
    name: o.name,
    id: o.id ?? hexId(random, 32),
    boot: o.boot ?? hexId(random, 8),
    version: o.version,
    host: o.host,
    host_id: o.host_id,
    class: o.class,
    type: o.type ?? 'text',
    prefer: o.prefer ?? 0,
  }
  const machine = o.machine ?? thisMachine()
  const began = clock.now()
  const events = new EventLog<EventAttributes>(clock)
  const models = listing(store, clock)
  /** Why there is no model. */
  let broken: Error | undefined

  const loader = new Loader(
    o.open,
    { slots: o.slots, ...(o.context && { context: o.context }) },
    (kind, model, error) => {
      if (kind !== 'unload-failed') broken = kind === 'load-failed' && !loader.current ? error : undefined
      events.add(kind, { model, error: error?.message })
      if (broken) root.tasks.fail(broken)
      root.tasks.wake()
    },
    clock,
  )
  const executor = new EngineExecutor(loader, () => identity.name)
  const drain = (draining: boolean) => {
    executor.draining = draining
    events.add(draining ? 'draining' : 'resumed')
  }

  const root: Root = new Root({
    name: o.name,
    owner,
    clock,
    events,
    executor,
    ...(o.budget && { budget: o.budget }),
    queue: { max: limits.MAX_QUEUE, ttl_s: Number.POSITIVE_INFINITY },
    base: () => o.defaults?.(loader.current?.engine.model.name ?? loader.loading ?? '') ?? {},
    async embed({ input, model }, _user, signal) {
      const engine = loader.current?.engine
      if (!engine) throw fail('loading', "write 'load MODEL' to ctl")
      executor.known({ model })
      const vectors = await engine.embed(input, signal)
      return { model: engine.model.name, embeddings: vectors.map(vector => [...vector]) }
    },
    verbs: {
      load: word1('MODEL', modelWord, model => loader.load(model)),
      unload: word(() => loader.unload()),
      check: word(async () => {
        const engine = loader.current?.engine
        if (!engine) throw broken ?? fail('loading', "write 'load MODEL' to ctl")
        await engine.remote?.check(new AbortController().signal)
      }),
      drain: word(() => drain(true)),
      resume: word(() => drain(false)),
      slots: word1(
        'N',
        arg => number('slots', arg, 1, 256, true),
        slots => loader.set({ slots }),
      ),
      context: word1(
        'N',
        arg => number('context', arg, 256, 16_777_216, true),
        context => loader.set({ context }),
      ),
      name: word1('NAME', workerName, name => {
        identity.name = name
      }),
      refused: word1('WHY', String, why => {
        events.add('refused', { error: why })
        o.refused?.(why)
      }),
      shutdown: word(() => o.shutdown()),
    },
    settings() {
      const { slots, context } = loader.settings
      const model = loader.current?.asked
      return [
        `slots ${slots}`,
        ...(context ? [`context ${context}`] : []),
        ...(model ? [`load ${quote(model)}`] : []),
        ...(executor.draining ? ['drain'] : []),
      ]
    },
    status: async () =>
      statusText({
        identity,
        machine,
        loader,
        models: await models(),
        state: stateOf(loader, executor.draining, broken !== undefined),
        error: broken?.message,
        queued: root.tasks.queued,
        stuck: executor.stuck(clock.now()),
        orphans: root.tasks.orphans(),
        rates: root.tasks.rates(),
        uptime_s: Math.floor((clock.now() - began) / 1000),
      }),
    models: store.root,
    ...(o.mounts && { namespace: o.mounts }),
  })
  events.add('started', { worker: o.name, version: o.version, boot: identity.boot })

  return {
    root: dir(root.files, owner),
    events,
    load: model => loader.load(model),
    async drain() {
      if (!executor.draining) drain(true)
      await root.tasks.idle()
    },
    failed: (error, user, file) => root.failed(error, user, file),
    succeeded: user => root.succeeded(user),
    async close() {
      executor.draining = true
      root.close()
      await loader.close()
    },
  }
}

/** Checks a name that a cluster gives to this worker. @throws FsError `bad argument` */
function workerName(name: string): string {
  if (!/^[a-z0-9][a-z0-9._-]{0,63}$/.test(name))
    throw fail('badArgument', `name: expected 1 to 64 of a-z, 0-9, ".", "_" and "-", not ${shown(name)}`)
  return name
}
