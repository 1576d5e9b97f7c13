import { record } from '../../fs/quote.js'
import { hardware, memory } from './hardware.js'
import type { Loader } from './loader.js'
import type { ModelStore } from './models.js'
import type { Tasks } from './tasks.js'

export interface Identity {
  readonly name: string
  /** Unique to the worker for its life. */
  readonly id: string
  /** Unique to this start of it. */
  readonly boot: string
  readonly version: string
}

const machine = hardware()

export type WorkerState = 'joining' | 'loading' | 'idle' | 'busy' | 'draining' | 'failed'

export function stateOf(loader: Loader, tasks: Tasks, failed: boolean): WorkerState {
  if (tasks.draining) return 'draining'
  if (!loader.current) return loader.loading !== undefined ? 'loading' : failed ? 'failed' : 'joining'
  return loader.current.running >= loader.current.engine.slots ? 'busy' : 'idle'
}

/** The text of `status` at a root: the capability record, then a record for each model (namespace.md). */
export async function statusText(
  identity: Identity,
  loader: Loader,
  tasks: Tasks,
  store: ModelStore,
  state: WorkerState,
  rates: { tok_s: number; latency_ms: number },
): Promise<string> {
  const model = loader.current?.engine.model
  const slots = loader.current?.engine.slots ?? loader.settings.slots
  const { total, free } = memory()
  const lines = [
    record('server', {
      name: identity.name,
      kind: 'worker',
      id: identity.id,
      boot: identity.boot,
      version: identity.version,
      state,
      slots,
      active: tasks.active,
      queue: tasks.queued,
      util: Math.round((tasks.active / slots) * 100) / 100,
      tok_s: rates.tok_s,
      latency_ms: rates.latency_ms,
      mem_total: total,
      mem_free: free,
      cpu: machine.cpu,
      gpu: machine.gpu,
      gpu_mem: 0,
      uptime_s: Math.floor(process.uptime()),
      loading: loader.loading,
    }),
  ]
  if (model)
    lines.push(
      record('model', {
        name: model.name,
        type: model.type,
        size: model.size,
        context: model.context || undefined,
        loaded: true,
        digest: model.digest || undefined,
      }),
    )
  for (const { name, size, context, architecture, problem } of await store.list())
    if (name !== model?.name)
      lines.push(record('model', { name, type: 'text', size, context, loaded: false, architecture, problem }))
  return `${lines.join('\n')}\n`
}
