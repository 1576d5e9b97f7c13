import type { Operation } from './protocol.js'

/** A server that is there but does not answer: what looks at names and attributes gives up after this, in ms. */
const METADATA_MS = 15_000
/** These wait as long as the file does; a signal to the program ends them. */
const patient: ReadonlySet<Operation> = new Set(['READ', 'WRITE', 'FLUSH', 'FSYNC'])

/** A request that is being worked on. */
export class Flight {
  readonly deadline: number
  /** The kernel has its answer: whatever the work still brings must be undone, not handed over. */
  answered = false
  #controller: AbortController | undefined

  constructor(
    readonly op: Operation,
    readonly unique: number,
    now: number,
  ) {
    this.deadline = patient.has(op) ? Number.POSITIVE_INFINITY : now + METADATA_MS
  }

  /** Aborts when the program was interrupted or the deadline is past. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    return this.#controller.signal
  }

  abort(): void {
    this.#controller ??= new AbortController()
    this.#controller.abort()
  }
}
