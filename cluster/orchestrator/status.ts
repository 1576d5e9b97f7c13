/**
 * The text of a cluster's `status`: a record of the cluster, of each model and of each worker (docs/files.md, status).
 */
import { status } from '../../api/status.js'
import type { Rates } from '../root/tasks.js'
import type { Member } from './members/member.js'
import type { ClusterModel } from './models/catalog.js'

export interface ClusterStatus {
  name: string
  id: string
  boot: string
  version: string
  host: string
  draining: boolean
  strategy: string
  /** The model that answers requests that name none; undefined: any. */
  model: string | undefined
  slots: number
  active: number
  /** How many bytes may be kept for users, and how many are. */
  memory: number | undefined
  memory_used: number
  queued: number
  rates: Rates
  clusters: readonly string[]
  uptime_s: number
  members: readonly Member[]
  /** The name of a member's machine in the tree. */
  hostOf(member: Member): string
  /** A key that distinguishes a member's machine from others. */
  machineOf(member: Member): string
  /** What ended the member's process before the current one. */
  endOf(member: Member): string | undefined
  hosts: number
  models: readonly ClusterModel[]
}

export function clusterStatus(o: ClusterStatus): string {
  const { members, slots, active, hostOf } = o
  // all workers of a machine report its memory: it must be counted once
  const machines = new Map(members.map(member => [o.machineOf(member), member.report]))
  const sum = (of: 'mem_total' | 'mem_free' | 'gpu_mem') =>
    [...machines.values()].reduce((n, report) => n + report[of], 0)
  const all = (of: 'cpu' | 'gpu') => [...new Set([...machines.values()].map(report => report[of]))].join(',') || 'none'
  const loading = members.flatMap(member => member.loading ?? (member.report.loading || []))
  const state = o.draining
    ? 'draining'
    : slots === 0
      ? loading.length > 0
        ? 'loading'
        : members.some(member => member.state === 'failed')
          ? 'failed'
          : 'joining'
      : active > 0
        ? 'busy'
        : 'idle'
  const lines = [
    status.line('server', {
      name: o.name,
      kind: 'cluster',
      id: o.id,
      boot: o.boot,
      version: o.version,
      host: o.host,
      state,
      slots,
      active,
      queue: o.queued,
      util: slots ? Math.round((active / slots) * 100) / 100 : 0,
      tok_s: o.rates.tok_s,
      latency_ms: o.rates.latency_ms,
      mem_total: sum('mem_total'),
      mem_free: sum('mem_free'),
      cpu: all('cpu'),
      gpu: all('gpu'),
      gpu_mem: sum('gpu_mem'),
      clusters: o.clusters.join(','),
      patience_s: Math.max(0, ...members.map(({ report }) => report.patience_s)) || undefined,
      uptime_s: o.uptime_s,
      workers: members.length,
      hosts: o.hosts,
      strategy: o.strategy,
      model: o.model,
      loading: loading[0],
      memory: o.memory,
      memory_used: o.memory_used,
      error: state === 'failed' ? members.find(({ error }) => error !== undefined)?.error : undefined,
    }),
    ...o.models.map(model =>
      status.line('model', {
        name: model.name,
        type: model.type,
        size: model.size,
        context: model.context || undefined,
        loaded: model.loaded,
        digest: model.digest || undefined,
        workers: model.workers,
        conflict: model.conflict || undefined,
        problem: model.problem,
        note: model.note,
      }),
    ),
    ...members.map(member => {
      const { report } = member
      return status.line('worker', {
        name: member.name,
        host: hostOf(member) || undefined,
        state: member.state,
        class: report.class || undefined,
        model: member.model?.name,
        slots: report.slots,
        active: member.active,
        queue: report.queue,
        tok_s: report.tok_s,
        latency_ms: report.latency_ms || undefined,
        mem_free: report.mem_free,
        kind: report.kind,
        loading: member.loading ?? (report.loading || undefined),
        error: member.error,
        progress: report.loading ? report.progress : undefined,
        id: report.id,
        boot: report.boot,
        ended: o.endOf(member),
      })
    }),
  ]
  return `${lines.join('\n')}\n`
}
