import { FsError } from '../../fs/errors.js'
import { isRow, Wrong } from './check.js'
import type { Process } from './clock.js'

/** Whether a request may end in that error. */
export type Excuse = (error: FsError, request: Request) => boolean

/** One thing a client wants, from when it begins until it has ended one way or the other. */
export interface Request {
  readonly id: number
  readonly kind: string
  readonly user: string
  /** Virtual times. */
  readonly began: number
  ended?: number
  /** What was asked. */
  prompt?: string
  outcome?: string
  /** What it may end in, by the table's row, besides what faults excuse. */
  readonly may: readonly string[]
}

/** All that clients ask for: that each ends in time, and ends well or in an error that it may end in. */
export class Requests {
  readonly all: Request[] = []
  /** Answers that were seen to go on where they had broken off. */
  moves = 0
  readonly #open = new Set<Request>()

  constructor(
    readonly excuse: Excuse,
    readonly note: (line: string) => void,
  ) {}

  /** Those that have not ended. */
  get open(): Request[] {
    return [...this.#open]
  }

  /** Does something for a client, and sees how it ends. */
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
