/** A FUSE request in progress: its deadline, its signal, and whether the kernel has its answer already. */
import type { Operation } from './protocol.js'

/**
 * Time after which operations on names and attributes give up on a server that is connected but does not answer, in ms.
 */
const METADATA_MS = 15_000
/** Operations without a deadline, because a file may have data only much later. A signal to the program ends them. */
const patient: ReadonlySet<Operation> = new Set(['READ', 'WRITE', 'FLUSH', 'FSYNC'])

/** A request that is being handled. */
export class FuseRequest {
  readonly deadline: number
  /** The kernel already has its answer. A late result must be cleaned up, not returned. */
  answered = false
  #controller: AbortController | undefined

  constructor(
    readonly op: Operation,
    readonly unique: number,
    now: number,
  ) {
    this.deadline = patient.has(op) ? Number.POSITIVE_INFINITY : now + METADATA_MS
  }

  /** Aborts when the program was interrupted or the deadline has passed. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    return this.#controller.signal
  }

  abort(): void {
    this.#controller ??= new AbortController()
    this.#controller.abort()
  }
}
