/** The tasks of a root: those that wait, those that run, and those that ended recently. */

import type { FsError } from '../../api/errors.js'
import type { Events } from '../../api/events.js'
import { plainRequest, type Request } from '../../api/request.js'
import type { Sampling } from '../../api/sampling.js'
import type { Clock } from '../../fs/base/clock.js'
import type { User } from '../../fs/file.js'
import { Admission } from './admission.js'
import type { Budget, BudgetShare } from './budget.js'
import type { Executor } from './executor.js'
import { COPIES, TASK_BYTES } from './limits.js'
import type { Metrics } from './metrics.js'
import { Retention } from './retention.js'
import { type Earlier, Scheduler } from './scheduler.js'
import { sampling } from './settings.js'
import type { Spills } from './spills.js'
import { Task } from './task.js'

/** A request that is submitted as a task. */
export interface Submission {
  user: User
  request: Request
  prompt: string
  /** The sampling that somebody asked for, and the values for the rest. */
  asked: Partial<Sampling>
  base: Partial<Sampling>
  session?: string | undefined
  /** Bytes that request and prompt take in memory. */
  bytes: number
  /** The earlier turns of its session, which it waits for. */
  earlier?: Earlier
  onEnd?: (task: Task) => void
}

/**
 * Tokens per second over all running tasks, and the usual time to the first token in ms; undefined if not known yet.
 */
export interface Rates {
  readonly tok_s: number
  readonly latency_ms: number | undefined
}

interface TasksOptions {
  /** The worker that a task shows until one is chosen. */
  name: string
  executor: Executor
  events: Events
  metrics: Metrics
  clock: Clock
  budget: Budget
  /** Where long answers go; undefined: they stay in memory. */
  spills: Spills | undefined
  /** Returns the number of a new task. */
  id(): string
  /** Whether that user may use a priority above 0. */
  mayPrioritise(user: User): boolean
  /** How many tasks may wait, and for how long, in seconds. May change. */
  queue: { readonly max: number; readonly ttl_s: number }
}

/** All tasks of a root, by their numbers. */
export class Tasks {
  readonly #o: TasksOptions
  readonly #tasks = new Map<string, Task>()
  readonly #scheduler: Scheduler
  readonly #admission: Admission
  readonly #retention: Retention

  constructor(o: TasksOptions) {
    this.#o = o
    this.#scheduler = new Scheduler(o)
    this.#admission = new Admission({ ...o, scheduler: this.#scheduler })
    this.#retention = new Retention({ ...o, forget: task => this.forget(task) })
  }

  get queued(): number {
    return this.#scheduler.queued
  }

  get(id: string): Task | undefined {
    return this.#tasks.get(id)
  }

  /** All tasks, in the order of their submission. */
  all(): Iterable<Task> {
    return this.#tasks.values()
  }

  /** The queued tasks, in order. */
  waiting(): Iterable<Task> {
    return this.#scheduler.waiting()
  }

  /** The tasks of a cluster that has disconnected from them but may come back, until their `keep_s` has passed. */
  *orphans(): Iterable<Task> {
    const now = this.#o.clock.now()
    for (const task of this.#tasks.values()) {
      if (!task.abandoned || !task.request.via) continue
      if (task.endedAt === undefined || now - task.endedAt < task.request.keep_s * 1000) yield task
    }
  }

  /**
   * Refuses a prompt as early as its first write, if it could not be submitted.
   * @param request as far as it is known by then
   * @throws the error that a submission would fail with
   */
  accept(user: User, request?: Request): void {
    this.#admission.check(user, request)
  }

  /** Starts an exchange. A refusal is a task that has failed, so that its reader gets the error. */
  submit(s: Submission): Task {
    const { user, request, bytes, session, earlier } = s
    const share = this.#o.budget.hold(user)
    try {
      this.#admission.check(user, request)
      share.grow(TASK_BYTES + COPIES * bytes)
      this.#admission.makeRoom(user)
    } catch (error) {
      share.free()
      return this.refuse(s, error as Error)
    }
    const task = this.#add(s, share)
    this.#o.events.add('task-queued', { task: task.id, user: user.name, session })
    this.#scheduler.add(task, earlier)
    return task
  }

  /** Makes a failed task for a submission that was refused, so that its reader gets the error. */
  refuse(s: Submission, error: Error): Task {
    const share = this.#o.budget.hold(s.user)
    share.add(TASK_BYTES)
    let kept = s
    try {
      share.grow(COPIES * s.bytes)
    } catch {
      // there is not even room to show the request
      kept = { ...s, request: plainRequest([]), prompt: '', bytes: 0 }
    }
    const task = this.#add(kept, share)
    task.settle(error)
    return task
  }

  /** Registers a task that an earlier server began, under its old number. */
  adopt(id: string, s: Submission): Task {
    const share = this.#o.budget.hold(s.user)
    share.add(TASK_BYTES + COPIES * s.bytes)
    return this.#add(s, share, id)
  }

  /** Queues a task again whose attempt has failed. */
  again(task: Task): void {
    this.#scheduler.again(task)
  }

  /**
   * Takes a task out of the queue because it is started by other means.
   * @returns whether it was queued
   */
  take(task: Task): boolean {
    return this.#scheduler.take(task)
  }

  /** Starts every task that can start. Called whenever a slot or a model has become available. */
  wake(): void {
    this.#scheduler.wake()
  }

  /** Sets a task's priority. @throws FsError `permission denied` for one that this user may not ask for */
  prioritise(task: Task, priority: number, user: User): void {
    this.#admission.checkPriority(user, priority)
    task.priority = priority
    this.#scheduler.reprioritised(task)
  }

  /** Forgets a task. Everything of it that nobody has open is freed. */
  forget(task: Task): void {
    this.#tasks.delete(task.id)
    this.#retention.delete(task)
    task.free()
  }

  /** The speeds that `status` reports. */
  rates(): Rates {
    let tok_s = 0
    let first: number | undefined
    for (const task of this.#tasks.values()) {
      if (task.state !== 'running') continue
      tok_s += task.tok_s ?? 0
      first ??= task.ttft_ms
    }
    const latency_ms = this.#scheduler.latency_ms ?? first
    return { tok_s: Math.round(tok_s * 10) / 10, latency_ms: latency_ms && Math.round(latency_ms) }
  }

  /** Fails all queued tasks: no model will come for them. */
  fail(error: Error): void {
    for (const task of [...this.#scheduler.waiting()]) task.stop(error)
  }

  /** Resolves when nothing is waiting or running. */
  async idle(): Promise<void> {
    for (const task of [...this.#tasks.values()]) if (!task.ended) await task.answer.ended
  }

  /** Ends all tasks, at shutdown. */
  stop(error: FsError): void {
    this.#retention.close()
    for (const task of this.#tasks.values()) task.stop(error)
  }

  #add(s: Submission, hold: BudgetShare, id = this.#o.id()): Task {
    const { name, clock, budget, spills } = this.#o
    const { user, request, prompt, asked, base, session, bytes } = s
    // one literal: V8 takes 0.7 µs for each property that follows a spread
    const task = new Task({
      id,
      user,
      request,
      prompt,
      sampling: sampling(base, asked),
      asked,
      worker: name,
      session,
      clock,
      budget,
      spill: spills?.of(user.name),
      hold,
      bytes,
      onEnd: task => {
        this.#ended(task)
        s.onEnd?.(task)
      },
    })
    this.#tasks.set(id, task)
    this.#retention.sweep()
    return task
  }

  #ended(task: Task): void {
    const { metrics, events } = this.#o
    this.#scheduler.ended(task)
    // unless it was removed while it ran
    if (this.#tasks.get(task.id) === task) this.#retention.add(task)
    metrics.ended(task)
    // everybody can read `events`, and the text after the kind of error may quote what the user wrote
    const error = task.error?.message.split(': ', 1)[0]
    events.add(`task-${task.state as 'done' | 'failed' | 'cancelled'}`, { task: task.id, user: task.user.name, error })
  }
}
