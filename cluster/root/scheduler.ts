/** The order in which a root's tasks start, and how long they wait. */

import { FsError, fail } from '../../api/errors.js'
import type { Events } from '../../api/events.js'
import type { Request } from '../../api/request.js'
import type { Cancel, Clock } from '../../fs/base/clock.js'
import type { Executor } from './executor.js'
import { Pace } from './pace.js'
import { Queue } from './queue.js'
import type { Task } from './task.js'

interface SchedulerOptions {
  executor: Executor
  clock: Clock
  events: Events
  /** How long a task may wait, in seconds. May change. */
  queue: { readonly ttl_s: number }
}

/** The turns before a task, in its session. */
export interface Earlier {
  /** Settles when they have ended. */
  ended: Promise<unknown>
  /**
   * Called then; returns the request as it is then.
   * @throws the error that the task then fails with
   */
  prepare(task: Task): Request
}

/** The waiting tasks of a root. It starts each as soon as the executor can run it. */
export class Scheduler {
  readonly #o: SchedulerOptions
  readonly #queue = new Queue()
  /** Turns that wait for an earlier turn of their session. They are not in the queue yet, but take as much memory. */
  readonly #held = new Set<Task>()
  /** The timers that end the waiting of queued tasks. */
  readonly #patience = new Map<Task, Cancel>()
  readonly #pace = new Pace()
  #awake = false

  constructor(o: SchedulerOptions) {
    this.#o = o
  }

  /** How many tasks are in the queue. */
  get queued(): number {
    return this.#queue.length
  }

  /** The usual time to the first token, in ms; undefined until a task has ended. */
  get latency_ms(): number | undefined {
    return this.#pace.latency_ms
  }

  /** The queued tasks, in order. */
  waiting(): Iterable<Task> {
    return this.#queue
  }

  /** The queued tasks, in order, and the turns that wait for an earlier turn. */
  all(): readonly Task[] {
    return [...this.#queue, ...this.#held]
  }

  /** Estimates how long a task waits that has so many others before it, in seconds. */
  wait_s(before: number): number {
    return this.#pace.wait_s(before, this.#o.executor.slots)
  }

  /** Queues a new task: at once, or when the earlier turns of its session have ended. */
  add(task: Task, earlier: Earlier | undefined): void {
    if (!earlier) return this.#enter(task)
    this.#held.add(task)
    earlier.ended.then(() => {
      this.#held.delete(task)
      if (task.ended) return
      try {
        task.request = earlier.prepare(task)
      } catch (error) {
        return task.settle(error as Error)
      }
      this.#enter(task)
    })
  }

  #enter(task: Task): void {
    this.#queue.add(task)
    this.#limit(task)
    this.#updatePositions()
    task.announce()
    this.wake()
  }

  /** Queues a task again whose attempt has failed. */
  again(task: Task): void {
    if (task.ended || this.#queue.has(task)) return
    if (task.stopped) return task.settle(task.stopped)
    this.#queue.back(task)
    this.#limit(task)
    this.#updatePositions()
  }

  /**
   * Takes a task out of the queue because it is started by other means, or has ended.
   * @returns whether it was queued
   */
  take(task: Task): boolean {
    this.#patience.get(task)?.()
    this.#patience.delete(task)
    const queued = this.#queue.remove(task)
    if (queued) this.#updatePositions()
    return queued
  }

  /** Forgets a task that has ended. */
  ended(task: Task): void {
    this.take(task)
    this.#held.delete(task)
  }

  /** Reorders the queue after a task's priority has changed. */
  reprioritised(task: Task): void {
    this.#queue.changed(task)
    this.#updatePositions()
  }

  /**
   * A slot, a model or a task has become available: at the end of this turn of the event loop every task starts that
   * can. However many things have changed in the turn, the queue is looked at once, when all of them have.
   */
  wake(): void {
    if (this.#awake) return
    this.#awake = true
    queueMicrotask(() => {
      this.#awake = false
      this.#startAll()
    })
  }

  #startAll(): void {
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
      this.#pace.ran((clock.now() - began) / 1000, task.ttft_ms)
      if (how === 'again') this.again(task)
      this.wake()
    })
  }

  /** Starts the timer that limits its waiting. */
  #limit(task: Task): void {
    const { clock, queue, executor } = this.#o
    const { ttl_s } = queue
    if (ttl_s === Number.POSITIVE_INFINITY) return
    const late = () => {
      if (executor.coming(task)) {
        task.waitingSince = undefined
        return this.#limit(task)
      }
      const { message, errno } = task.completion_tokens
        ? fail('workerLost', task.completion_tokens)
        : fail('waited', ttl_s)
      const cause = task.cause ? ` (before that: ${task.cause.message})` : ''
      task.stop(new FsError(`${message}; retry after ${Math.ceil(this.wait_s(this.queued))} s${cause}`, errno))
    }
    // a failed attempt does not restart the waiting time
    task.waitingSince ??= clock.now()
    const left = task.waitingSince + ttl_s * 1000 - clock.now()
    this.#patience.set(task, clock.after(Math.max(0, left), late))
  }

  #updatePositions(): void {
    const { slots, active } = this.#o.executor
    let i = 0
    for (const task of this.#queue) {
      task.position = Math.max(0, ++i - Math.max(0, slots - active))
      task.eta_s = task.position ? Math.round(this.wait_s(task.position - 1) * 10) / 10 : 0
    }
  }
}
