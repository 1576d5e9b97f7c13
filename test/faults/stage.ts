/** What the fault scenarios share: teardown, time limits and checks. */

import { setTimeout as sleep } from 'node:timers/promises'

/** One fault, done to real processes. */
export interface Scenario {
  readonly name: string
  /** Why the scenario cannot run on this machine; empty if it can. */
  lacks?(): string | Promise<string>
  /** @returns one line of measurements. @throws if something happened that must not */
  run(stage: Stage): Promise<string>
}

/** Ends what a scenario has started, the last first. */
export class Stage {
  #undo: (() => unknown)[] = []

  teardown(undo: () => unknown): void {
    this.#undo.push(undo)
  }

  async end(): Promise<void> {
    for (const undo of this.#undo.splice(0).reverse()) await undo()
  }
}

/** @throws Error if a condition does not hold */
export function must(so: unknown, what: string): asserts so {
  if (!so) throw new Error(what)
}

/** Waits for a condition. @throws Error if it does not hold within `ms`: a hang must not hang the tests */
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

/** Waits for a promise. @throws Error if it does not settle within `ms` */
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

/** The error with which a call fails. @throws Error if the call does not fail */
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
