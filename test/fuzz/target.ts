/** What a fuzzing target is, and what all of them use. */

/** One thing that is fuzzed. */
export interface Target {
  readonly name: string
  /** Whether inputs are sequences of messages (frames.ts), and mutated as such. */
  readonly framed?: boolean
  /** Words that inputs are likely to contain: they are inserted whole. */
  readonly words?: readonly string[]
  /** Inputs to begin with. */
  seeds(): Uint8Array[]
  /** @throws if an input has brought out a fault */
  run(input: Uint8Array): void | Promise<void>
}

/** Fails a run. @throws Error always */
export function fault(what: string, cause?: unknown): never {
  throw new Error(what, cause === undefined ? undefined : { cause })
}

/** How many turns of the microtask queue are enough for everything to settle that needs no timer. */
const TURNS = 2000

/** Lets promises settle until `done`, or for a number of turns. @returns whether it was done */
export async function settle(done: () => boolean, turns = TURNS): Promise<boolean> {
  for (let i = 0; i < turns && !done(); i++) await undefined
  return done()
}
