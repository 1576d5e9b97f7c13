/**
 * A value now or later. The server answers what it can at once without a promise: at 400,000 small reads a second a promise
 * and its microtask are most of the cost.
 */
export type Maybe<T> = T | Promise<T>

/** Goes on with a value when it is there: at once if it is, else when its promise is kept. */
export function chain<T, U>(value: Maybe<T>, next: (value: T) => Maybe<U>): Maybe<U> {
  return value instanceof Promise ? value.then(next) : next(value)
}
