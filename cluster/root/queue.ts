/** The queue of a root's tasks, fair between users. */
import type { Task } from './task.js'

/**
 * Turns that a task with a priority above 0 gets for one turn of each other user: it goes first, but nobody waits for
 * ever.
 */
const FIRST = 4

/** Gives out turns among users (start-time fair queuing, Goyal et al. 1996). */
class Turns {
  /**
   * The rank of the task that left last. A user that comes back after a while starts behind it, without credit for the
   * absence.
   */
  #now = 0
  /** The last rank given to each user. */
  readonly #last = new Map<string, number>()

  next(user: string, weight: number): number {
    const rank = Math.max(this.#now, this.#last.get(user) ?? 0) + 1 / weight
    if (this.#last.size > 1000) for (const [name, last] of this.#last) if (last <= this.#now) this.#last.delete(name)
    this.#last.set(user, rank)
    return rank
  }

  left(rank: number): void {
    this.#now = Math.max(this.#now, rank)
  }
}

/**
 * The waiting tasks, in the order in which they are to start. The order is fair between users: the second task of a
 * user waits behind the first of every other user. A user's priorities order that user's own tasks. A priority above 0
 * gets four turns for one; a task with a priority below 0 waits behind all others.
 */
export class Queue implements Iterable<Task> {
  #tasks: Task[] = []
  readonly #turns = new Turns()
  /** Turns of the tasks with a priority below 0. */
  readonly #low = new Turns()
  #arrivals = 0
  readonly #arrived = new WeakMap<Task, number>()

  get length(): number {
    return this.#tasks.length
  }

  [Symbol.iterator](): Iterator<Task> {
    return this.#tasks[Symbol.iterator]()
  }

  has(task: Task): boolean {
    return this.#tasks.includes(task)
  }

  /** Adds a task that comes for the first time. */
  add(task: Task): void {
    this.#arrived.set(task, ++this.#arrivals)
    this.#give(task)
    this.#insert(task)
    if (this.#tasks.some(other => other !== task && other.user.name === task.user.name)) this.#own(task.user.name)
  }

  /** Adds a task that was started before and has to wait again. It keeps the turn it had. */
  back(task: Task): void {
    this.#insert(task)
  }

  /** Removes a task. @returns whether it was in the queue */
  remove(task: Task): boolean {
    const at = this.#tasks.indexOf(task)
    if (at < 0) return false
    this.#tasks.splice(at, 1)
    this.#turnsOf(task).left(task.rank)
    return true
  }

  /** Reorders the queue after a task's priority has changed. */
  changed(task: Task): void {
    if (!this.has(task)) return
    this.#give(task)
    this.#own(task.user.name)
  }

  #turnsOf(task: Task): Turns {
    return isLow(task) ? this.#low : this.#turns
  }

  #give(task: Task): void {
    task.rank = this.#turnsOf(task).next(task.user.name, task.priority > 0 ? FIRST : 1)
  }

  #insert(task: Task): void {
    const at = this.#tasks.findIndex(other => before(task, other))
    this.#tasks.splice(at < 0 ? this.#tasks.length : at, 0, task)
  }

  /** Reassigns the turns of a user to that user's tasks by priority. */
  #own(user: string): void {
    for (const low of [false, true]) {
      const own = this.#tasks.filter(task => task.user.name === user && isLow(task) === low)
      const ranks = own.map(({ rank }) => rank).sort((a, b) => a - b)
      const came = (task: Task) => this.#arrived.get(task) ?? 0
      own.sort((a, b) => b.priority - a.priority || came(a) - came(b))
      for (const [i, task] of own.entries()) task.rank = ranks[i]!
    }
    this.#tasks.sort((a, b) => (before(a, b) ? -1 : 1))
  }
}

const isLow = (task: Task) => task.priority < 0

const before = (a: Task, b: Task) =>
  isLow(a) !== isLow(b) ? isLow(b) : a.rank !== b.rank ? a.rank < b.rank : Number(a.id) < Number(b.id)
