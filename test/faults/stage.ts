import { setTimeout as sleep } from 'node:timers/promises'

/** One fault, done to real processes. */
export interface Scenario {
  readonly name: string
  /** Why it cannot be done on this machine; the empty string where it can. */
  lacks?(): string | Promise<string>
  /** @returns what was measured, one line. @throws what should not have been */
  run(stage: Stage): Promise<string>
}

/** What a scenario has started, all gone at its end: the last begun is ended first. */
export class Stage {
  #undo: (() => unknown)[] = []

  teardown(undo: () => unknown): void {
    this.#undo.push(undo)
  }

  async end(): Promise<void> {
    for (const undo of this.#undo.splice(0).reverse()) await undo()
  }
}

/** @throws where something is not as it has to be */
export function must(so: unknown, what: string): asserts so {
  if (!so) throw new Error(what)
}

/** Waits for a condition, and fails where it has not come within `ms`: what hangs must not hang us. */
export async function until<T>(
  what: string,
  ms: number,
  so: () => T | Promise<T>,
): Promise<Exclude<T, false | undefined>> {
  for (const end = Date.now() + ms; ; await sleep(20)) {
    const it = await so()
    if (it) return it as Exclude<T, false | undefined>
    if (Date.now() > end) throw new Error(`${what}: not within ${ms / 1000} s`)
  }
}

/** A promise that must settle within `ms`. */
export async function within<T>(what: string, ms: number, promise: Promise<T>): Promise<T> {
  const over = new AbortController()
  const late = sleep(ms, undefined, { signal: over.signal }).then(
    () => {
      throw new Error(`${what}: not within ${ms / 1000} s`)
    },
    () => undefined as never,
  )
  try {
    return await Promise.race([promise, late])
  } finally {
    over.abort()
  }
}

/** What a call fails with; it must fail. */
export async function failure(what: string, promise: Promise<unknown>): Promise<Error> {
  let value: unknown
  try {
    value = await promise
  } catch (error) {
    return error as Error
  }
  throw new Error(`${what}: it should have failed, and gave ${JSON.stringify(value)?.slice(0, 200)}`)
}

export const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`
