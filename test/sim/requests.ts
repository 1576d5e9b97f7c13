/** The requests of simulated clients: each must end in time, and either well or with an error that it may end in. */
import { FsError } from '../../api/errors.js'
import { isRow, Wrong } from './check.js'
import type { Process } from './clock.js'

/** Whether a request may end in this error. */
export type Excuse = (error: FsError, request: Request) => boolean

/** One request of a client, from its beginning to its end. */
export interface Request {
  readonly id: number
  readonly kind: string
  readonly user: string
  /** Its beginning and its end, in virtual time. */
  readonly began: number
  ended?: number
  /** Its prompt, if the user records that. */
  prompt?: string
  outcome?: string
  /** The rows of the table of errors that it may end in, besides those that faults excuse. */
  readonly may: readonly string[]
}

/** All requests of all clients. */
export class Requests {
  readonly all: Request[] = []
  /** How many times an answer was seen to go on where it had broken off. */
  moves = 0
  readonly #open = new Set<Request>()

  constructor(
    readonly excuse: Excuse,
    readonly note: (line: string) => void,
  ) {}

  /** The requests that have not ended. */
  get open(): Request[] {
    return [...this.#open]
  }

  /** Makes a request for a client, and checks how it ends. */
  async run(
    kind: string,
    process: Process,
    may: readonly string[],
    use: (request: Request) => Promise<void>,
  ): Promise<void> {
    const { time } = process
    const request: Request = { id: this.all.length + 1, kind, user: process.name, began: time.now, may }
    this.all.push(request)
    this.#open.add(request)
    this.note(`request ${request.id} ${kind} by ${process.name}`)
    try {
      await use(request)
      request.outcome = 'done'
    } catch (error) {
      request.outcome = `error ${(error as Error).message}`
      const wrong = this.#wrong(error, request)
      if (wrong) time.fail(wrong)
    }
    request.ended = time.now
    this.#open.delete(request)
    this.note(`request ${request.id} ${request.outcome}`)
  }

  #wrong(error: unknown, request: Request): Error | undefined {
    const what = `request ${request.id}, ${request.kind} by ${request.user}`
    if (!(error instanceof FsError)) {
      if (error instanceof Wrong) return new Wrong(`${what}: ${error.message}`)
      return error as Error
    }
    if (!isRow(error.message)) return new Wrong(`${what}: no row of the table of errors: ${error.message}`)
    if (request.may.some(row => error.message.startsWith(row)) || this.excuse(error, request)) return undefined
    return new Wrong(`${what} failed, and nothing excuses it: ${error.message}`, { cause: error })
  }
}
