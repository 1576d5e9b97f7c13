/** Which tasks the workers that are gone were running, so that a task that crashes workers is found. */

import type { Clock } from '../../../fs/base/clock.js'
import type { Task } from '../../root/task.js'
import { OBITUARY_MS } from '../limits.js'
import type { Member } from '../members/member.js'

/** A host reports a crash before or after the connection breaks: the tasks of a lost worker are kept for a while. */
export class Deaths {
  /** By the `boot` of a lost worker, the tasks that it had. */
  readonly #lost = new Map<string, { host_id: string; tasks: readonly Task[] }>()

  constructor(readonly clock: Clock) {}

  /** A worker is gone that had these tasks. */
  lost({ report: { boot, host_id } }: Member, tasks: readonly Task[]): void {
    if (tasks.length === 0) return
    this.#lost.set(boot, { host_id, tasks })
    this.clock.after(OBITUARY_MS, () => this.#lost.delete(boot), true)
  }

  /** Takes the tasks that a worker of this host had when it was lost. A host is believed about its own workers only. */
  take(host_id: string, boot: string): readonly Task[] {
    const lost = this.#lost.get(boot)
    if (lost?.host_id !== host_id) return []
    this.#lost.delete(boot)
    return lost.tasks
  }
}
