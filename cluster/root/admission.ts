/** Which prompts a root accepts, and which waiting task leaves a full queue to make room for another user's. */

import { type FsError, fail } from '../../api/errors.js'
import type { Request } from '../../api/request.js'
import type { User } from '../../fs/file.js'
import type { Executor } from './executor.js'
import { MAX_QUEUE_BYTES } from './limits.js'
import type { Scheduler } from './scheduler.js'
import type { Task } from './task.js'

/** What the rule of a full queue looks at. */
export type Waiting = Pick<Task, 'size' | 'tries'> & { readonly user: Pick<User, 'name'> }

/**
 * Picks the task to evict so that a user can add one: the newest one that has not been started of the user that has
 * most, if that user would still have more than the one that adds. Has: tasks where their number is at its bound, bytes
 * otherwise.
 * @param waiting the waiting tasks, in order
 * @returns `none` if there is room, `full` if nobody has that much more
 */
export function evicted<T extends Waiting>(
  waiting: readonly T[],
  user: string,
  most: { tasks: number; bytes: number },
): T | 'none' | 'full' {
  const crowded = waiting.length >= most.tasks
  if (!crowded && waiting.reduce((bytes, { size }) => bytes + size, 0) < most.bytes) return 'none'
  const weight = (task: T) => (crowded ? 1 : task.size)
  const has = new Map<string, number>()
  for (const task of waiting) has.set(task.user.name, (has.get(task.user.name) ?? 0) + weight(task))
  let heaviest = { name: '', weight: 0 }
  for (const [name, weight] of has) if (weight > heaviest.weight) heaviest = { name, weight }
  const last = waiting.findLast(task => task.user.name === heaviest.name && task.tries === 0)
  if (!last || heaviest.weight - weight(last) <= (has.get(user) ?? 0)) return 'full'
  return last
}

interface AdmissionOptions {
  executor: Executor
  scheduler: Scheduler
  /** How many tasks may wait. May change. */
  queue: { readonly max: number }
  /** Whether that user may use a priority above 0. */
  mayPrioritise(user: User): boolean
}

/** Decides whether a prompt is accepted. */
export class Admission {
  readonly #o: AdmissionOptions

  constructor(o: AdmissionOptions) {
    this.#o = o
  }

  /**
   * Refuses a prompt that could not be submitted.
   * @param request as far as it is known
   * @throws the error that a submission would fail with
   */
  check(user: User, request?: Request): void {
    this.#o.executor.accept()
    if (request) this.#o.executor.known(request)
    // the priority of a request that came through a cluster was checked there
    if (request && !(request.via && user.relayed)) this.checkPriority(user, request.priority)
    this.#evicted(user)
  }

  /** @throws FsError `permission denied` for a priority that this user may not ask for */
  checkPriority(user: User, priority: number): void {
    if (priority <= 0 || this.#o.mayPrioritise(user)) return
    const remedy =
      'only admins and the users in priority.users of the configuration may ask for more than 0; leave it out'
    throw fail('permission', `priority ${priority}: ${remedy}`)
  }

  /** Evicts tasks until the user can add one. @throws FsError `queue full` if nobody has that much more */
  makeRoom(user: User): void {
    for (let task: Task | undefined; (task = this.#evicted(user)); ) task.stop(this.#full())
  }

  /** The task to evict so that the user can add one; undefined if there is room. @throws FsError `queue full` */
  #evicted(user: User): Task | undefined {
    const { scheduler, queue } = this.#o
    const task = evicted(scheduler.all(), user.name, { tasks: queue.max, bytes: MAX_QUEUE_BYTES })
    if (task === 'full') throw this.#full()
    return task === 'none' ? undefined : task
  }

  #full(): FsError {
    const { scheduler } = this.#o
    return fail('queueFull', Math.ceil(scheduler.wait_s(scheduler.all().length)))
  }
}
