/** How long the ended tasks of a root are kept, so that users can look at them. */
import type { Events } from '../../api/events.js'
import { type Cancel, type Clock, every } from '../../fs/base/clock.js'
import type { Budget } from './budget.js'
import { KEPT_TASK_BYTES, KEPT_TASK_MS, KEPT_TASKS, LARGE_TASK } from './limits.js'
import type { Task } from './task.js'

const SWEEP_MS = 60_000
const most = { tasks: KEPT_TASKS, bytes: KEPT_TASK_BYTES, ms: KEPT_TASK_MS }

/** What the rules look at. `kept` are the bytes of its texts, `held` the bytes that forgetting it frees. */
type Ended = Pick<Task, 'endedAt' | 'kept'>
type Held = Pick<Task, 'held' | 'wanted'> & { readonly user: { readonly name: string } }

/**
 * Picks the tasks to forget because there are too many, they take too much memory, or they ended too long ago: the
 * oldest ones.
 * @param ended the ended tasks, in the order in which they ended
 * @param has how many there are, and the bytes that they keep
 * @param now by the clock, in ms
 */
export function expired<T extends Ended>(
  ended: Iterable<T>,
  has: { tasks: number; bytes: number },
  now: number,
  most: { tasks: number; bytes: number; ms: number },
): T[] {
  let { tasks, bytes } = has
  const out: T[] = []
  for (const task of ended) {
    if (tasks <= most.tasks && bytes <= most.bytes && now - task.endedAt! < most.ms) break
    out.push(task)
    tasks--
    bytes -= task.kept
  }
  return out
}

/**
 * Picks the tasks to forget so that there is room for what a user wants: the user's own tasks, and those of users that
 * hold more. Tasks that take much memory go first, then the others, the oldest first: a task whose answer is on the
 * disk would free next to nothing. A task whose answer somebody has open, or may come back for, stays.
 * @param ended the ended tasks, in the order in which they ended
 * @param usedBy how many bytes a user holds
 * @param fits whether there is room once `own` bytes of that user, and `all` bytes of all users, are free
 * @returns undefined if forgetting all of these would not make enough room
 */
export function reclaimed<T extends Held>(
  ended: readonly T[],
  user: string,
  usedBy: (name: string) => number,
  fits: (own: number, all: number) => boolean,
): T[] | undefined {
  const out: T[] = []
  let own = 0
  let all = 0
  const large = (task: T) => task.held >= LARGE_TASK
  for (const task of [...ended.filter(large), ...ended.filter(task => !large(task))]) {
    const { name } = task.user
    if (task.wanted || (name !== user && usedBy(name) <= usedBy(user))) continue
    out.push(task)
    all += task.held
    if (name === user) own += task.held
    if (fits(own, all)) return out
  }
  return undefined
}

function bytesOf(tasks: Iterable<Ended>): number {
  let bytes = 0
  for (const { kept } of tasks) bytes += kept
  return bytes
}

interface RetentionOptions {
  clock: Clock
  budget: Budget
  events: Events
  /** Called with each task that is to be forgotten. */
  forget(task: Task): void
}

/** The ended tasks of a root. */
export class Retention {
  readonly #o: RetentionOptions
  /** In the order in which they ended. */
  readonly #ended = new Set<Task>()
  /** At least the bytes that they keep: what each kept at its end, which only falls after that. */
  #bytes = 0
  readonly #stop: Cancel

  constructor(o: RetentionOptions) {
    this.#o = o
    this.#stop = every(o.clock, SWEEP_MS, () => this.sweep())
    o.budget.onShort((user, fits) => this.#reclaim(user, fits))
  }

  add(task: Task): void {
    this.#ended.add(task)
    this.#bytes += task.kept
  }

  /** Called when a task is forgotten, for whatever reason. */
  delete(task: Task): void {
    if (this.#ended.delete(task)) this.#bytes -= task.kept
  }

  /** Forgets the tasks that are not to be kept any longer. */
  sweep(): void {
    const { clock, forget } = this.#o
    // this runs for each new task: add up a thousand tasks only if they may be too large
    if (this.#bytes > KEPT_TASK_BYTES) this.#bytes = bytesOf(this.#ended)
    const has = { tasks: this.#ended.size, bytes: this.#bytes }
    for (const task of expired(this.#ended, has, clock.now(), most)) forget(task)
  }

  /** Stops the regular sweeps. */
  close(): void {
    this.#stop()
  }

  #reclaim(user: string, fits: (own: number, all: number) => boolean): boolean {
    const { budget, events, forget } = this.#o
    const tasks = reclaimed([...this.#ended], user, name => budget.usedBy(name), fits)
    if (!tasks) return false
    for (const task of tasks) forget(task)
    events.add('tasks-forgotten', { tasks: tasks.length, error: 'the memory budget has no room to keep them' })
    return true
  }
}
