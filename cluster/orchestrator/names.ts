import { MAX_NAMES } from './limits.js'

const shape = /^worker-(\d{4,9})$/

/** The names worker-NNNN: who comes back is called as before, who comes anew gets the lowest number that is nobody's. */
export class Names {
  readonly #byId = new Map<string, string>()
  readonly #taken = new Set<number>()
  #lowest = 1

  /** @param wanted the name it has had, perhaps from an orchestrator before us */
  of(id: string, wanted: string): string {
    const known = this.#byId.get(id)
    if (known) return known
    const asked = Number(shape.exec(wanted)?.[1] ?? 0)
    const number = asked > 0 && !this.#taken.has(asked) ? asked : this.#free()
    this.#taken.add(number)
    const name = `worker-${String(number).padStart(4, '0')}`
    this.#byId.set(id, name)
    return name
  }

  /** It is gone. Its name is kept for it as long as there is room. */
  left(id: string): void {
    const name = this.#byId.get(id)
    if (name === undefined) return
    // behind all others: the first to go is who left longest ago
    this.#byId.delete(id)
    if (this.#byId.size < MAX_NAMES) this.#byId.set(id, name)
    else this.#release(name)
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
