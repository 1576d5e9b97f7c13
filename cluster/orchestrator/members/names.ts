/** The names `worker-NNNN`: a worker that comes back gets its old name, a new worker the lowest free number. */
import type { Clock } from '../../../fs/base/clock.js'
import { MAX_NAMES, NAME_GRACE_MS } from '../limits.js'

const shape = /^worker-(\d{4,9})$/

export class Names {
  readonly #byId = new Map<string, string>()
  readonly #taken = new Set<number>()
  /** By id, when each absent worker left, the earliest first. Their names are still reserved. */
  readonly #gone = new Map<string, number>()
  #lowest = 1

  constructor(readonly clock: Clock) {}

  /**
   * The name of the worker with this id, from now on reserved for it.
   * @param wanted the name that the worker reports, perhaps given by an earlier orchestrator: it keeps that if it is
   *   free
   */
  of(id: string, wanted: string): string {
    this.#forget()
    this.#gone.delete(id)
    const known = this.#byId.get(id)
    if (known) return known
    const asked = Number(shape.exec(wanted)?.[1] ?? 0)
    const number = asked > 0 && !this.#taken.has(asked) ? asked : this.#free()
    this.#taken.add(number)
    const name = `worker-${String(number).padStart(4, '0')}`
    this.#byId.set(id, name)
    return name
  }

  /** The worker has left. Its name stays reserved for NAME_GRACE_MS, as long as there is room. */
  left(id: string): void {
    if (!this.#byId.has(id)) return
    this.#gone.delete(id)
    this.#gone.set(id, this.clock.now())
    this.#forget()
  }

  /** Frees the names of workers that have not come back in time. */
  #forget(): void {
    const now = this.clock.now()
    for (const [id, since] of this.#gone) {
      if (now - since < NAME_GRACE_MS && this.#byId.size < MAX_NAMES) return
      this.#gone.delete(id)
      this.#release(this.#byId.get(id)!)
      this.#byId.delete(id)
    }
  }

  #release(name: string): void {
    const number = Number(shape.exec(name)![1])
    this.#taken.delete(number)
    this.#lowest = Math.min(this.#lowest, number)
  }

  #free(): number {
    while (this.#taken.has(this.#lowest)) this.#lowest++
    return this.#lowest
  }
}
