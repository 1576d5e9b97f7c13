import type { Task } from './task.js'

/**
 * Tasks that wait, in the order in which they are to start: by priority, and within one priority fairly between users (start-time
 * fair queuing, Goyal et al. 1996, each task of weight 1): a user's second waits behind everybody's first.
 */
export class Queue implements Iterable<Task> {
  #tasks: Task[] = []
  /** The rank of what left last: who comes anew begins behind it, not with a credit for his absence. */
  #now = 0
  /** By user, the rank he was last given. */
  readonly #last = new Map<string, number>()

  get length(): number {
    return this.#tasks.length
  }

  [Symbol.iterator](): Iterator<Task> {
    return this.#tasks[Symbol.iterator]()
  }

  has(task: Task): boolean {
    return this.#tasks.includes(task)
  }

  /** Adds one that comes for the first time. */
  add(task: Task): void {
    const { name } = task.user
    task.rank = Math.max(this.#now, this.#last.get(name) ?? 0) + 1
    if (this.#last.size > 1000) for (const [user, rank] of this.#last) if (rank <= this.#now) this.#last.delete(user)
    this.#last.set(name, task.rank)
    this.back(task)
  }

  /** Adds one that was started before and has to wait again: its turn is the one it had. */
  back(task: Task): void {
    const at = this.#tasks.findIndex(other => before(task, other))
    this.#tasks.splice(at < 0 ? this.#tasks.length : at, 0, task)
  }

  /** @returns whether it was there */
  remove(task: Task): boolean {
    const at = this.#tasks.indexOf(task)
    if (at < 0) return false
    this.#tasks.splice(at, 1)
    this.#now = Math.max(this.#now, task.rank)
    return true
  }

  /** A priority has changed. */
  sort(): void {
    this.#tasks.sort((a, b) => (before(a, b) ? -1 : 1))
  }
}

const before = (a: Task, b: Task) =>
  a.priority !== b.priority
    ? a.priority > b.priority
    : a.rank !== b.rank
      ? a.rank < b.rank
      : Number(a.id) < Number(b.id)
