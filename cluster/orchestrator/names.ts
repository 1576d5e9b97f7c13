import type { Clock } from '../../fs/clock.js'
import { MAX_NAMES, NAME_GRACE_MS } from './limits.js'

const shape = /^worker-(\d{4,9})$/

/** The names worker-NNNN: who comes back is called as before, who comes anew gets the lowest number that is nobody's. */
export class Names {
  readonly #byId = new Map<string, string>()
  readonly #taken = new Set<number>()
  /** By id, since when those are gone whose names are kept, who left longest ago first. */
  readonly #gone = new Map<string, number>()
  #lowest = 1

  constructor(readonly clock: Clock) {}

  /** @param wanted the name it has had, perhaps from an orchestrator before us */
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

  /** It is gone. Its name is kept for it for a while, as long as there is room. */
  left(id: string): void {
    if (!this.#byId.has(id)) return
    this.#gone.delete(id)
    this.#gone.set(id, this.clock.now())
    this.#forget()
  }

  /** Frees the names of those that do not come back. */
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
