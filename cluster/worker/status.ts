/** Formats the `status` of a worker. */
import { status } from '../../api/status.js'
import type { Task } from '../root/task.js'
import type { Rates } from '../root/tasks.js'
import type { Machine } from './hardware.js'
import { PATIENCE_MS } from './limits.js'
import type { Loader } from './loader.js'
import type { ModelEntry } from './models.js'

/** What a worker is, apart from its model and its load. */
export interface Identity {
  readonly name: string
  /** Stays the same for the life of the worker. */
  readonly id: string
  /** Changes with each start. */
  readonly boot: string
  readonly version: string
  readonly host: string | undefined
  readonly host_id: string | undefined
  readonly class: string | undefined
  /** Prompts go first to the workers with the highest value, of those that could answer. */
  readonly prefer: number
  /** What its model is for: requests of that `type` go to this worker first. */
  readonly type: string
}

export type WorkerState = 'joining' | 'loading' | 'idle' | 'busy' | 'draining' | 'failed'

/** The `state` in a worker's status. @param failed whether the last load failed */
export function stateOf(loader: Loader, draining: boolean, failed: boolean): WorkerState {
  if (draining) return 'draining'
  if (!loader.current) return loader.loading !== undefined ? 'loading' : failed ? 'failed' : 'joining'
  return loader.current.running > 0 ? 'busy' : 'idle'
}

/** Formats a worker's `status`: the capability record, then a record for each model (docs/files.md, status). */
export function statusText(o: {
  identity: Identity
  machine: Machine
  loader: Loader
  /** The store's models. */
  models: readonly ModelEntry[]
  state: WorkerState
  /** Why no model could be loaded, if there is none. */
  error: string | undefined
  queued: number
  /** The number of answers that were told to stop long ago and still run. */
  stuck: number
  /** Exchanges whose cluster has disconnected. */
  orphans: Iterable<Task>
  rates: Rates
  uptime_s: number
}): string {
  const { identity, machine, loader, models } = o
  const { model, remote } = loader.current?.engine ?? {}
  const slots = loader.current?.engine.slots ?? loader.settings.slots
  const active = loader.current?.running ?? 0
  const { total, free } = machine.memory()
  const lines = [
    status.line('server', {
      name: identity.name,
      kind: 'worker',
      id: identity.id,
      boot: identity.boot,
      version: identity.version,
      host: identity.host,
      class: identity.class,
      state: o.state,
      slots,
      active,
      queue: o.queued,
      util: Math.round((active / slots) * 100) / 100,
      tok_s: o.rates.tok_s,
      latency_ms: o.rates.latency_ms,
      mem_total: total,
      mem_free: free,
      cpu: machine.cpu,
      gpu: machine.gpu,
      gpu_mem: machine.gpu_mem,
      uptime_s: o.uptime_s,
      loading: loader.loading,
      progress: loader.loading === undefined ? undefined : Math.round(loader.progress * 100) / 100,
      error: o.error,
      stuck: o.stuck || undefined,
      host_id: identity.host_id,
      patience_s: remote && Math.ceil((remote.silence_ms + PATIENCE_MS) / 1000),
      prefer: identity.prefer || undefined,
    }),
  ]
  if (model)
    lines.push(
      status.line('model', {
        name: model.name,
        type: identity.type,
        size: model.size,
        context: model.context || undefined,
        loaded: true,
        digest: model.digest || undefined,
        note: model.note,
      }),
    )
  for (const { name, size, context, architecture, problem } of models)
    if (name !== model?.name)
      lines.push(
        status.line('model', {
          name,
          type: identity.type,
          size,
          context,
          loaded: false,
          architecture,
          problem,
        }),
      )
  for (const { id, request, user } of o.orphans) {
    const { cluster, task, attempt, session, proof } = request.via!.at(-1)!
    lines.push(
      status.line('orphan', {
        id,
        cluster,
        task,
        attempt,
        user: user.name,
        uid: user.uid,
        session,
        proof,
      }),
    )
  }
  return `${lines.join('\n')}\n`
}
