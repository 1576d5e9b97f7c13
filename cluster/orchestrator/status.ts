/**
 * The text of a cluster's `status`: a record of the cluster, of each model and of each worker (docs/files.md, status).
 */
import { MAX_BYTES, MAX_SLOTS } from '../../api/report.js'
import { status } from '../../api/status.js'
import type { Clock } from '../../fs/base/clock.js'
import type { Budget } from '../root/budget.js'
import type { Tasks } from '../root/tasks.js'
import type { Dispatcher } from './dispatch/dispatcher.js'
import type { Routing } from './dispatch/routing.js'
import type { Ends } from './members/ends.js'
import type { Hosts } from './members/hosts.js'
import type { Membership } from './members/membership.js'
import type { Catalog } from './models/catalog.js'

export interface ClusterStatus {
  name: string
  id: string
  boot: string
  version: string
  /** The machine that the orchestrator is on. */
  host: string
  clock: Clock
  /** When it was started, by the clock. */
  began: number
  /** Whether it ends, and takes no more prompts. */
  life: { readonly closing: boolean }
  budget: Budget
  routing: Routing
  catalog: Catalog
  dispatcher: Dispatcher
  membership: Membership
  hosts: Hosts
  /** What ended the workers' processes before the current ones. */
  ends: Ends
}

export function clusterStatus(o: ClusterStatus, tasks: Tasks): string {
  const { hosts, budget, routing, catalog } = o
  const { slots, active } = o.dispatcher
  const members = o.membership.listed
  const rates = tasks.rates()
  // all workers of a machine report its memory: it must be counted once
  const machines = new Map(members.map(member => [hosts.machineOf(member), member.report]))
  // a member may claim as much as a whole cluster may: beyond that a cluster that we join would refuse this status
  const sum = (of: 'mem_total' | 'mem_free' | 'gpu_mem') =>
    Math.min(
      MAX_BYTES,
      [...machines.values()].reduce((n, report) => n + report[of], 0),
    )
  const all = (of: 'cpu' | 'gpu') => [...new Set([...machines.values()].map(report => report[of]))].join(',') || 'none'
  const loading = members.flatMap(member => member.loading ?? (member.report.loading || []))
  const state = o.life.closing
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
      slots: Math.min(MAX_SLOTS, slots),
      active: Math.min(MAX_SLOTS, active),
      queue: tasks.queued,
      util: slots ? Math.round((active / slots) * 100) / 100 : 0,
      tok_s: rates.tok_s,
      latency_ms: rates.latency_ms,
      mem_total: sum('mem_total'),
      mem_free: sum('mem_free'),
      cpu: all('cpu'),
      gpu: all('gpu'),
      gpu_mem: sum('gpu_mem'),
      clusters: o.membership.clusters.join(','),
      patience_s: Math.max(0, ...members.map(({ report }) => report.patience_s)) || undefined,
      uptime_s: Math.floor((o.clock.now() - o.began) / 1000),
      workers: members.length,
      hosts: hosts.peers.size,
      strategy: routing.strategy,
      model: catalog.plain,
      loading: loading[0],
      memory: Number.isFinite(budget.limit) ? budget.limit : undefined,
      memory_used: budget.used,
      error: state === 'failed' ? members.find(({ error }) => error !== undefined)?.error : undefined,
    }),
    ...catalog.list().map(model =>
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
        host: hosts.nameOf(member) || undefined,
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
        ended: o.ends.why(member),
      })
    }),
  ]
  return `${lines.join('\n')}\n`
}
