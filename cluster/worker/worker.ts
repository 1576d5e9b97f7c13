import { type Clock, systemClock } from '../../fs/clock.js'
import { fail } from '../../fs/errors.js'
import type { File, Owner, User } from '../../fs/file.js'
import { word, word1 } from '../../fs/kit/ctl.js'
import { dir } from '../../fs/kit/dir.js'
import { Feed } from '../../fs/kit/feed.js'
import { quote } from '../../fs/quote.js'
import { hexId } from '../id.js'
import type { Budget } from '../root/budget.js'
import type { Sampling } from '../root/generation.js'
import * as limits from '../root/limits.js'
import { Root } from '../root/root.js'
import { modelWord, number } from '../root/settings.js'
import { type Machine, thisMachine } from './hardware.js'
import { listing } from './listing.js'
import { Loader, type OpenEngine } from './loader.js'
import type { ModelStore } from './models.js'
import { EnginePlace } from './place.js'
import { stateOf, statusText } from './status.js'

export interface WorkerOptions {
  /** What the worker is called in a tree: `worker-0001`. The cluster that it joins may give it another name. */
  name: string
  version: string
  /** Whose process this is: who owns its files. */
  owner: Owner
  store: ModelStore
  /** Opens an engine for a model by name or path, having checked the file. */
  open: OpenEngine
  slots: number
  context?: number
  /** What a model's prompts use where nobody has said anything: a small model wants to be greedy. */
  defaults?: (model: string) => Partial<Sampling>
  /** What `namespace` shows besides the worker's own files: where each part comes from, as ns(1) prints it. */
  mounts?: () => string[]
  /** `shutdown` was written to ctl. */
  shutdown(): void
  /** The cluster that was dialled does not take us, and says why. */
  refused?(why: string): void
  /** The memory that may be kept for users; without end unless given. */
  budget?: Budget
  clock?: Clock
  random?: () => number
  /** Unique to the worker, and to this start of it; made up unless given. */
  id?: string
  boot?: string
  /** The machine it is on, by name and by its host's id, and the class of workers it was started as. */
  host?: string
  host_id?: string
  class?: string
  /** What its model is for, such as `code`; `text` unless given. */
  type?: string
  /** 0 to 100: of the workers that could answer, the ones with the highest go first; 0 unless given. */
  prefer?: number
  /** What it runs on; looked at unless given. */
  machine?: Machine
}

export interface Worker {
  /** The worker's files. */
  readonly root: File
  readonly events: Feed
  load(model: string): Promise<void>
  /** Takes no new prompts. @returns when the running ones have ended */
  drain(): Promise<void>
  /** Keeps a user's last failure for his `error` file; what serves the tree calls it for each it answers with. */
  failed(error: Error, user: User, file: string): void
  /** A write of a user succeeded: what serves the tree calls it for each. */
  succeeded(user: User): void
  /** Ends all exchanges with `shutting down` and frees the model. */
  close(): Promise<void>
}

/** One engine served as files: everything namespace.md says of a worker. */
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
  const events = new Feed(clock)
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
      root.tasks.pump()
    },
    clock,
  )
  const place = new EnginePlace(loader, () => identity.name)
  const drain = (draining: boolean) => {
    place.draining = draining
    events.add(draining ? 'draining' : 'resumed')
  }

  const root: Root = new Root({
    name: o.name,
    owner,
    clock,
    events,
    place,
    ...(o.budget && { budget: o.budget }),
    queue: { max: limits.MAX_QUEUE, ttl_s: Number.POSITIVE_INFINITY },
    base: () => o.defaults?.(loader.current?.engine.model.name ?? loader.loading ?? '') ?? {},
    async embed({ input, model }, _user, signal) {
      const engine = loader.current?.engine
      if (!engine) throw fail('loading', "write 'load MODEL' to ctl")
      place.known({ model })
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
        ...(place.draining ? ['drain'] : []),
      ]
    },
    status: async () =>
      statusText({
        identity,
        machine,
        loader,
        models: await models(),
        state: stateOf(loader, place.draining, broken !== undefined),
        error: broken?.message,
        queued: root.tasks.queued,
        stuck: place.stuck(clock.now()),
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
      if (!place.draining) drain(true)
      await root.tasks.idle()
    },
    failed: (error, user, file) => root.failed(error, user, file),
    succeeded: user => root.succeeded(user),
    async close() {
      place.draining = true
      root.close()
      await loader.close()
    },
  }
}

/** A name that a cluster gives. @throws FsError `bad argument` */
function workerName(name: string): string {
  if (!/^[a-z0-9][a-z0-9._-]{0,63}$/.test(name))
    throw fail('badArgument', `name ${name.slice(0, 64)}: 1 to 64 of a-z, 0-9, . _ and -`)
  return name
}
