/** The tasks of a root: submission, the queue, starting, and how long ended tasks are kept. */

import { FsError, fail } from '../../api/errors.js'
import { type Cancel, type Clock, every } from '../../fs/base/clock.js'
import type { Context, Entry, File, Owner, User } from '../../fs/file.js'
import { logFile } from '../../fs/kit/append-log.js'
import { text } from '../../fs/kit/content.js'
import { ctl, word, word1 } from '../../fs/kit/ctl.js'
import { generated } from '../../fs/kit/dir.js'
import type { EventLog } from '../../fs/kit/event-log.js'
import type { Budget, BudgetShare } from './budget.js'
import type { Sampling } from './generation.js'
import * as limits from './limits.js'
import type { Metrics } from './metrics.js'
import { Queue } from './queue.js'
import { plainRequest, type Request, requestJson, sampling } from './request.js'
import { number } from './settings.js'
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
  /**
   * The earlier turns of its session. The task enters the queue only when this settles, with the request that `prepare`
   * returns.
   */
  after?: Promise<unknown>
  /**
   * Called when the earlier turns have ended; returns the request as it is then.
   * @throws the error that the task then fails with
   */
  prepare?: (task: Task) => Request
  onEnd?: (task: Task) => void
}

/**
 * Tokens per second over all running tasks, and the usual time to the first token in ms; undefined if not known yet.
 */
export interface Rates {
  readonly tok_s: number
  readonly latency_ms: number | undefined
}

/** Where tasks run: the engine of a worker, or the workers of a cluster. */
export interface Executor {
  /** How many tasks can run at once, and how many do. */
  readonly slots: number
  readonly active: number
  /** Whether any task could start now. */
  readonly free: boolean
  /**
   * Refuses a prompt as early as its first write, if it could not be submitted.
   * @throws the error that a submission would fail with
   */
  accept(): void
  /** @throws FsError if nothing here could ever answer that request */
  known(request: Request): void
  /**
   * Starts the task if that is possible now. It settles the task, or lets it wait again.
   * @returns undefined if not now; otherwise a promise for how it ended: `ended`, or `again` if it is to wait again.
   *   The promise never rejects
   * @throws the error to refuse the task with, if it can never run
   */
  start(task: Task): Promise<'ended' | 'again'> | undefined
  /** Whether what the task waits for is under way (its model is being loaded). If so, it may wait without limit. */
  coming(task: Task): boolean
}

export interface TasksOptions {
  /** The worker that a task shows until one is chosen. */
  name: string
  executor: Executor
  events: EventLog
  metrics: Metrics
  clock: Clock
  budget: Budget
  /** Where long answers go; undefined: they stay in memory. */
  spills: Spills | undefined
  /** Returns the number of a new task. */
  id(): string
  /** Whether that user may use a priority above 0. */
  mayPrioritise(user: User): boolean
  /** How many tasks may wait, and for how long, in seconds. */
  queue: { max: number; ttl_s: number }
}

/** The exchanges of a root: those that wait, those that run, and those that ended recently. */
export class Tasks {
  readonly #o: TasksOptions
  readonly #tasks = new Map<string, Task>()
  readonly #queue = new Queue()
  /** Ended tasks, in the order in which they ended. */
  readonly #ended = new Set<Task>()
  /** Turns that wait for an earlier turn of their session. They are not in the queue yet, but take as much memory. */
  readonly #held = new Set<Task>()
  /** The timers that end the waiting of queued tasks. */
  readonly #patience = new Map<Task, Cancel>()
  readonly #sweep: Cancel
  /**
   * Moving average of how long a task takes, in seconds. The estimates in `queue full` and `eta_s` are made from it.
   */
  #usual_s = 1
  /** Moving average of the time to first token, in ms; undefined until a task has ended. */
  #latency_ms: number | undefined

  constructor(o: TasksOptions) {
    this.#o = o
    this.#sweep = every(o.clock, 60_000, () => this.#forgetOld())
    o.budget.onShort((user, fits) => this.#reclaim(user, fits))
  }

  get queued(): number {
    return this.#queue.length
  }

  get active(): number {
    return this.#o.executor.active
  }

  get(id: string): Task | undefined {
    return this.#tasks.get(id)
  }

  /** The tasks of a cluster that has disconnected from them but may come back, until their `keep_s` has passed. */
  *orphans(): Iterable<Task> {
    const now = this.#o.clock.now()
    for (const task of this.#tasks.values()) {
      if (!task.abandoned || !task.request.via) continue
      if (task.endedAt === undefined || now - task.endedAt < task.request.keep_s * 1000) yield task
    }
  }

  /** The queued tasks, in order. */
  waiting(): Iterable<Task> {
    return this.#queue
  }

  /**
   * Refuses a prompt as early as its first write, if it could not be submitted.
   * @param request as far as it is known by then
   * @throws the error that a submission would fail with
   */
  accept(user: User, request?: Request): void {
    this.#o.executor.accept()
    if (request) this.#o.executor.known(request)
    // the priority of a request that came through a cluster was checked there
    if (request && !(request.via && user.relayed)) this.#allowed(user, request.priority)
    this.#yielding(user)
  }

  /** @throws FsError `permission denied` for a priority that this user may not ask for */
  #allowed(user: User, priority: number): void {
    if (priority <= 0 || this.#o.mayPrioritise(user)) return
    const remedy =
      'only admins and the users in priority.users of the configuration may ask for more than 0; leave it out'
    throw fail('permission', `priority ${priority}: ${remedy}`)
  }

  #queueFull(): FsError {
    return fail('queueFull', Math.ceil(this.#wait(this.#queue.length + this.#held.size)))
  }

  /**
   * Picks the task to evict from a full queue so that `user` can add one: the newest task of the user with the most
   * queued, if that user would still have more than `user`.
   * @returns undefined if there is room
   * @throws FsError `queue full` if nobody has that much more
   */
  #yielding(user: User): Task | undefined {
    const waiting = [...this.#queue, ...this.#held]
    const crowded = waiting.length >= this.#o.queue.max
    if (!crowded && waiting.reduce((bytes, { size }) => bytes + size, 0) < limits.MAX_QUEUE_BYTES) return undefined
    const weight = (task: Task) => (crowded ? 1 : task.size)
    const has = new Map<string, number>()
    for (const task of waiting) has.set(task.user.name, (has.get(task.user.name) ?? 0) + weight(task))
    const [[name, most]] = [...has].sort(([, a], [, b]) => b - a) as [[string, number]]
    const last = waiting.findLast(task => task.user.name === name && task.tries === 0)
    if (!last || most - weight(last) <= (has.get(user.name) ?? 0)) throw this.#queueFull()
    return last
  }

  /** Starts an exchange. A refusal is a task that has failed, so that its reader gets the error. */
  submit(s: Submission): Task {
    const hold = this.#o.budget.hold(s.user)
    try {
      this.accept(s.user, s.request)
      hold.grow(limits.TASK_BYTES + limits.COPIES * s.bytes)
      for (let last: Task | undefined; (last = this.#yielding(s.user)); ) last.stop(this.#queueFull())
    } catch (error) {
      hold.free()
      return this.refuse(s, error as Error)
    }
    const task = this.#add(s, hold)
    this.#o.events.add('task-queued', { task: task.id, user: s.user.name, session: s.session })
    const enter = () => {
      this.#held.delete(task)
      if (task.ended) return
      try {
        if (s.prepare) task.request = s.prepare(task)
      } catch (error) {
        return task.settle(error as Error)
      }
      this.#queue.add(task)
      this.#patient(task)
      this.#updatePositions()
      task.announce()
      this.pump()
    }
    if (s.after) {
      this.#held.add(task)
      s.after.then(enter)
    } else enter()
    return task
  }

  /** Registers a task that an earlier server began, under its old number. */
  adopt(id: string, s: Submission): Task {
    const hold = this.#o.budget.hold(s.user)
    hold.add(limits.TASK_BYTES + limits.COPIES * s.bytes)
    return this.#add(s, hold, id)
  }

  /** Queues a task again whose attempt has failed. */
  again(task: Task): void {
    if (task.ended || this.#queue.has(task)) return
    if (task.signal.aborted) return task.settle(task.signal.reason as Error)
    this.#queue.back(task)
    this.#patient(task)
    this.#updatePositions()
  }

  /**
   * Takes a task out of the queue because it is started by other means, or has ended.
   * @returns whether it was queued
   */
  take(task: Task): boolean {
    this.#patience.get(task)?.()
    this.#patience.delete(task)
    const there = this.#queue.remove(task)
    if (there) this.#updatePositions()
    return there
  }

  /** Makes a failed task for a submission that was refused, so that its reader gets the error. */
  refuse(s: Submission, error: Error): Task {
    const hold = this.#o.budget.hold(s.user)
    hold.add(limits.TASK_BYTES)
    let kept = s
    try {
      hold.grow(limits.COPIES * s.bytes)
    } catch {
      // there is not even room to show the request
      kept = { ...s, request: plainRequest([]), prompt: '', bytes: 0 }
    }
    const task = this.#add(kept, hold)
    task.settle(error)
    return task
  }

  #add(s: Submission, hold: BudgetShare, id = this.#o.id()): Task {
    const { name, clock, metrics, events, budget, spills } = this.#o
    const { user, request, prompt, asked, base, session, bytes } = s
    const onEnd = (ended: Task) => {
      this.take(ended)
      this.#held.delete(ended)
      if (this.#tasks.get(id) === ended) this.#ended.add(ended)
      metrics.ended(ended)
      // everybody can read `events`, and the text after the kind of error may quote what the user wrote
      const error = ended.error?.message.split(': ', 1)[0]
      events.add(`task-${ended.state}`, { task: id, user: user.name, error })
      s.onEnd?.(ended)
    }
    const whole = sampling(base, asked)
    const own = { id, user, request, prompt, asked, session, bytes }
    const task = new Task({
      ...own,
      sampling: whole,
      worker: name,
      clock,
      budget,
      spill: spills?.of(user.name),
      hold,
      onEnd,
    })
    this.#tasks.set(id, task)
    this.#forgetOld()
    return task
  }

  /** Starts the timer that limits its waiting. */
  #patient(task: Task): void {
    const { clock, queue, executor } = this.#o
    const { ttl_s } = queue
    if (ttl_s === Number.POSITIVE_INFINITY) return
    const late = () => {
      if (executor.coming(task)) {
        task.waitingSince = undefined
        return this.#patient(task)
      }
      const { message, errno } = task.completion_tokens
        ? fail('workerLost', task.completion_tokens)
        : fail('waited', ttl_s)
      const cause = task.cause ? ` (before that: ${task.cause.message})` : ''
      task.stop(new FsError(`${message}; retry after ${Math.ceil(this.#wait(this.#queue.length))} s${cause}`, errno))
    }
    // a failed attempt does not restart the waiting time
    task.waitingSince ??= clock.now()
    const left = task.waitingSince + ttl_s * 1000 - clock.now()
    this.#patience.set(task, clock.after(Math.max(0, left), late))
  }

  /** Starts every task that can start. Called whenever a slot, a model or a task has become available. */
  pump(): void {
    const { executor } = this.#o
    for (const task of [...this.#queue]) {
      if (!executor.free) return
      if (!task.ended) this.#start(task)
    }
  }

  #start(task: Task): void {
    const { executor, clock, events } = this.#o
    let end: Promise<'ended' | 'again'> | undefined
    try {
      end = executor.start(task)
    } catch (error) {
      return task.settle(error as Error)
    }
    if (!end) return
    this.take(task)
    events.add('task-started', { task: task.id, user: task.user.name, worker: task.worker })
    const began = clock.now()
    void end.then(how => {
      this.#usual_s = 0.8 * this.#usual_s + 0.2 * ((clock.now() - began) / 1000)
      if (task.ttft_ms !== undefined) this.#latency_ms = 0.8 * (this.#latency_ms ?? task.ttft_ms) + 0.2 * task.ttft_ms
      if (how === 'again') this.again(task)
      this.pump()
    })
  }

  /**
   * The speeds that `status` reports: tokens per second over all running tasks, and the usual time to the first token,
   * if known.
   */
  rates(): Rates {
    let tok_s = 0
    let first: number | undefined
    for (const task of this.#tasks.values()) {
      if (task.state !== 'running') continue
      tok_s += task.tok_s ?? 0
      first ??= task.ttft_ms
    }
    const latency_ms = this.#latency_ms ?? first
    return { tok_s: Math.round(tok_s * 10) / 10, latency_ms: latency_ms && Math.round(latency_ms) }
  }

  /** Fails all queued tasks: no model will come for them. */
  fail(error: Error): void {
    for (const task of [...this.#queue]) task.stop(error)
  }

  /** Resolves when nothing is waiting or running. */
  async idle(): Promise<void> {
    for (const task of [...this.#tasks.values()]) if (!task.ended) await task.answer.ended
  }

  /** Ends all tasks, at shutdown. */
  stop(error: FsError): void {
    this.#sweep()
    for (const task of this.#tasks.values()) task.stop(error)
  }

  #wait(places: number): number {
    return Math.max(1, (this.#usual_s * (places + 1)) / (this.#o.executor.slots || 1))
  }

  #updatePositions(): void {
    const { slots, active } = this.#o.executor
    let i = 0
    for (const task of this.#queue) {
      task.position = Math.max(0, ++i - Math.max(0, slots - active))
      task.eta_s = task.position ? Math.round(this.#wait(task.position - 1) * 10) / 10 : 0
    }
  }

  #forgetOld(): void {
    const before = this.#o.clock.now() - limits.KEPT_TASK_MS
    let bytes = 0
    for (const { kept } of this.#ended) bytes += kept
    for (const task of this.#ended) {
      const few = this.#ended.size <= limits.KEPT_TASKS && bytes <= limits.KEPT_TASK_BYTES
      if (few && task.endedAt! > before) return
      bytes -= task.kept
      this.#forget(task)
    }
  }

  /**
   * Forgets ended tasks if that makes room for what a user wants: the user's own tasks, and those of users that hold
   * more. Tasks that take much memory go first, then the others, the oldest first: a task whose answer is on the disk
   * would free next to nothing. A task whose answer somebody has open, or may come back for, stays.
   */
  #reclaim(user: string, fits: (own: number, all: number) => boolean): boolean {
    const { budget, events } = this.#o
    const victims: Task[] = []
    let own = 0
    let all = 0
    const large = (task: Task) => task.held >= limits.LARGE_TASK
    const ended = [...this.#ended]
    for (const task of [...ended.filter(large), ...ended.filter(task => !large(task))]) {
      const { name } = task.user
      if (task.wanted || (name !== user && budget.usedBy(name) <= budget.usedBy(user))) continue
      victims.push(task)
      all += task.held
      if (name === user) own += task.held
      if (!fits(own, all)) continue
      for (const victim of victims) this.#forget(victim)
      events.add('tasks-forgotten', { tasks: victims.length, error: 'the memory budget has no room to keep them' })
      return true
    }
    return false
  }

  #forget(task: Task): void {
    this.#tasks.delete(task.id)
    this.#files.delete(task.id)
    this.#ended.delete(task)
    task.free()
  }

  readonly #files = new Map<string, File>()

  /** `task/`: each user sees their own tasks; an admin also sees that those of others exist. */
  dir(owner: Owner): File {
    const visible = (task: Task, { user }: Context) => task.user.name === user.name || user.role === 'admin'
    return generated({
      owner,
      mode: 0o777,
      walk: (id, ctx) => {
        const task = this.#tasks.get(id)
        return task && visible(task, ctx) ? this.#file(task) : undefined
      },
      list: ctx => {
        const out: Entry[] = []
        for (const [id, task] of this.#tasks) if (visible(task, ctx)) out.push([id, this.#file(task)])
        return out
      },
    })
  }

  #file(task: Task): File {
    let file = this.#files.get(task.id)
    if (!file) this.#files.set(task.id, (file = this.#taskDir(task)))
    return file
  }

  #taskDir(task: Task): File {
    const owner = { name: task.user.name, uid: task.user.uid }
    const verbs = {
      cancel: word(() => task.cancel()),
      priority: word1(
        'N',
        arg => number('priority', arg, -10, 10, true),
        (n, { user }) => {
          this.#allowed(user, n)
          task.priority = n
          this.#queue.changed(task)
          this.#updatePositions()
        },
      ),
    }
    // for rm -r: removing a file does nothing, and removing the directory cancels and forgets the task
    const part = (file: File): File => ({ ...file, remove: () => undefined })
    const files = new Map<string, File>([
      ['ctl', part(ctl({ owner, verbs, read: () => `priority ${task.priority}\n` }))],
      ['prompt', part(text(() => `${task.prompt}\n`, { owner, mode: 0o400 }))],
      ['request', part(text(() => `${requestJson(task.request, task.asked)}\n`, { owner, mode: 0o400 }))],
      ['answer', part(logFile(() => task.answer, owner))],
      ['stream', part(logFile(() => task.stream, owner))],
      ['status', part(text(() => task.status(), { owner, mode: 0o440 }))],
      ['trace', part(text(() => task.traceText(), { owner, mode: 0o440 }))],
    ])
    return generated({
      owner,
      mode: 0o750,
      walk: name => files.get(name),
      list: () => files,
      remove: ({ user }) => {
        if (user.name !== owner.name && user.role !== 'admin') throw fail('permission')
        task.cancel()
        this.#forget(task)
      },
    })
  }
}
