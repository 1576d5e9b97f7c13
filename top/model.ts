/** What `top` knows of a cluster. */

import { type Event, type Known, parseEvent } from '../api/events.js'
import { type ServerRecord, status } from '../api/status.js'
import { taskStatus } from '../api/task.js'

export interface Worker {
  readonly name: string
  readonly host: string
  readonly class: string
  /**
   * The state in `status`, but `stale` for a worker that does not answer (`suspect`) and `down` for one that was there
   * and is gone.
   */
  readonly state: string
  readonly model: string
  readonly slots: number
  readonly active: number
  readonly queue: number
  readonly tok_s: number
  readonly latency_ms: number
  /** Progress of a model that is being loaded, from 0 to 1. */
  readonly progress: number | undefined
  /** When the worker was last in `status`, in ms since 1970. */
  readonly seen: number
}

export interface Task {
  readonly id: string
  readonly state: string
  readonly user: string
  readonly worker: string
  readonly position: number
  readonly tokens: number
  readonly tok_s: number
  readonly ttft_ms: number
}

export interface Share {
  readonly class: string
  readonly workers: number
  /** The fraction of all workers, from 0 to 1. */
  readonly share: number
}

/** How long a worker that is gone is shown as down, in ms. */
const DOWN_MS = 300_000
/** How many events are kept: more than any screen shows. */
const MAX_EVENTS = 500

const ended = /^(?:done|failed|cancelled)$/

/** The state of a cluster, collected from its files. */
export class Model {
  /** The `server` record of the last `status`; undefined until there was one. */
  server: ServerRecord | undefined
  /** Its line, for programs, which may know more attributes. */
  line = ''
  /** When that `status` was read, in ms since 1970. */
  at = 0
  /** Why the cluster cannot be reached, while it cannot. */
  problem: string | undefined
  readonly workers = new Map<string, Worker>()
  /** Tasks that wait or run. */
  readonly tasks = new Map<string, Task>()
  readonly events: Event[] = []
  /** Workers that were told to leave. They are not shown as down after they have left. */
  readonly #leaving = new Set<string>()
  /** Tasks that have ended, so that they are not asked for again. */
  readonly over = new Set<string>()

  /** Processes a `status`. @param now ms since 1970 @throws FsError `bad message` for any other text */
  status(text: string, now: number): void {
    const { server, worker: members } = status.read(text)
    this.server = server
    this.line = text.slice(0, text.indexOf('\n'))
    this.at = now
    this.problem = undefined
    for (const { name, host, class: kind, state, model, loading, progress, ...rates } of members) {
      const { slots, active, queue, tok_s, latency_ms } = rates
      this.workers.set(name, {
        name,
        host,
        class: kind || (rates.kind === 'cluster' ? 'cluster' : 'default'),
        state: state === 'suspect' ? 'stale' : state,
        model: model || loading,
        slots,
        active,
        queue,
        tok_s,
        latency_ms,
        progress,
        seen: now,
      })
    }
    for (const [name, worker] of this.workers) {
      if (worker.seen === now) continue
      const meant = worker.state === 'draining' || this.#leaving.has(name)
      if (meant || now - worker.seen > DOWN_MS) this.workers.delete(name)
      else if (worker.state !== 'down')
        this.workers.set(name, { ...worker, state: 'down', active: 0, queue: 0, tok_s: 0, progress: undefined })
    }
  }

  /** Processes lines of `event`. @throws Unfit for a line that is not a record */
  happened(lines: readonly string[]): void {
    for (const line of lines) {
      const event = parseEvent(line)
      // a newly opened `event` begins with events that an earlier open had already delivered
      if (!event || this.events.some(({ seq, time }) => seq === event.seq && time === event.time)) continue
      this.events.push(event)
      if (this.events.length > MAX_EVENTS) this.events.shift()
      if (event.known) this.#happened(event.known)
    }
  }

  #happened(event: Known): void {
    switch (event.kind) {
      case 'worker-draining':
        this.#leaving.add(event.worker)
        return
      case 'worker-resumed':
      case 'worker-joined':
        this.#leaving.delete(event.worker)
        return
      case 'task-queued':
        return this.#waits(event.task, event.user, '', 'queued')
      case 'task-recovered':
        return this.#waits(event.task, event.user, event.worker, 'queued')
      case 'task-started':
        return this.#waits(event.task, event.user, event.worker, 'running')
      case 'task-done':
      case 'task-failed':
      case 'task-cancelled':
        return this.#ended(event.task)
    }
  }

  #waits(id: string, user: string, worker: string, state: 'queued' | 'running'): void {
    if (id === '' || this.over.has(id)) return
    const fresh = { id, user, position: 0, tokens: 0, tok_s: 0, ttft_ms: 0 }
    this.tasks.set(id, { ...fresh, ...this.tasks.get(id), worker, state })
  }

  #ended(id: string): void {
    this.tasks.delete(id)
    this.over.add(id)
  }

  /** Processes a task's `status`. @throws FsError `bad message` for any other text */
  task(text: string): void {
    const { id, state, user, worker, position = 0, tok_s = 0, ttft_ms = 0, ...counts } = taskStatus.read(text).task
    if (ended.test(state)) return this.#ended(id)
    this.tasks.set(id, { id, state, user, worker, position, tokens: counts.completion_tokens ?? 0, tok_s, ttft_ms })
  }

  /**
   * Processes the names in `task/`. Tasks that are not among them have been removed. @returns the tasks of which
   * nothing is known
   */
  listed(ids: readonly string[]): string[] {
    const there = new Set(ids)
    for (const id of this.tasks.keys()) if (!there.has(id)) this.tasks.delete(id)
    for (const id of this.over) if (!there.has(id)) this.over.delete(id)
    return ids.filter(id => !this.over.has(id) && !this.tasks.has(id))
  }

  /** The health of the cluster in a word, and the reason if it is not healthy. */
  health(): { word: 'HEALTHY' | 'DEGRADED' | 'BUSY' | 'STARTING' | 'DRAINING' | 'DOWN'; why: string } {
    const { server, problem } = this
    if (problem !== undefined || !server) return { word: 'DOWN', why: problem ?? 'no answer yet' }
    if (server.state === 'draining') return { word: 'DRAINING', why: 'the server is shutting down' }
    const all = [...this.workers.values()]
    const bad = (['failed', 'stale', 'down'] as const).map(state => [all.filter(w => w.state === state).length, state])
    const why = bad.flatMap(([n, state]) => (n ? `${n} ${state}` : [])).join(', ')
    if (server.state === 'joining' || server.state === 'loading')
      return { word: 'STARTING', why: `the server is ${server.state}` }
    if (server.state === 'failed' || why) return { word: 'DEGRADED', why: why || 'no model is loaded' }
    if (server.queue > 0) return { word: 'BUSY', why: `${server.queue} queued` }
    return { word: 'HEALTHY', why: '' }
  }

  /** Workers by class, the largest class first. Workers that are down do not count. */
  classes(): Share[] {
    const counts = new Map<string, number>()
    const there = [...this.workers.values()].filter(({ state }) => state !== 'down')
    for (const { class: name } of there) counts.set(name, (counts.get(name) ?? 0) + 1)
    return [...counts]
      .map(([name, workers]) => ({ class: name, workers, share: workers / there.length }))
      .sort((a, b) => b.workers - a.workers || a.class.localeCompare(b.class))
  }
}
