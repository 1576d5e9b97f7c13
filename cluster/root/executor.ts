/** Where the tasks of a root run. */
import type { Request } from '../../api/request.js'
import type { Task } from './task.js'

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
