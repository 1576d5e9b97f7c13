/** A bounded map with one value per user. */
import type { User } from '../../fs/file.js'
import { MAX_USERS } from './limits.js'

/** One value per user, for the most recent users: the newest exchange, the last error. */
export class UserMap<T> {
  readonly #values = new Map<string, T>()

  /** @param dropped is called with each value that is replaced, deleted or evicted */
  constructor(readonly dropped: (value: T) => void = () => undefined) {}

  get({ name }: User): T | undefined {
    return this.#values.get(name)
  }

  values(): Iterable<T> {
    return this.#values.values()
  }

  delete({ name }: User): void {
    this.#values.delete(name)
  }

  set({ name }: User, value: T): void {
    this.#drop(name)
    this.#values.set(name, value)
    if (this.#values.size > MAX_USERS) this.#drop(this.#values.keys().next().value!)
  }

  #drop(name: string): void {
    const value = this.#values.get(name)
    if (!this.#values.delete(name)) return
    this.dropped(value as T)
  }
}
