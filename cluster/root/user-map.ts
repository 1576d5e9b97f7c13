import type { User } from '../../fs/file.js'
import { MAX_USERS } from './limits.js'

/** One value a user, for the users lately heard of: the newest exchange, the last error. */
export class UserMap<T> {
  readonly #values = new Map<string, T>()

  get({ name }: User): T | undefined {
    return this.#values.get(name)
  }

  delete({ name }: User): void {
    this.#values.delete(name)
  }

  set({ name }: User, value: T): void {
    this.#values.delete(name)
    this.#values.set(name, value)
    if (this.#values.size > MAX_USERS) this.#values.delete(this.#values.keys().next().value!)
  }
}
