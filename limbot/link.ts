import { setTimeout as sleep } from 'node:timers/promises'
import type { Connection } from '../ctl/common/connect.js'
import { exitCode, explain, Failure } from '../ctl/common/exit.js'
import type { Invocation } from '../ctl/common/invocation.js'
import type { Fid } from '../fs/client.js'
import { FsError, fail } from '../fs/errors.js'

/** Pauses between two attempts to reach a server, in ms: the first, and the longest. */
const FIRST_MS = 100
const LONGEST_MS = 3000

/** Whether an error is that the server is gone, or does not answer yet, and not that it refuses. */
export const isAway = (error: unknown): boolean =>
  error instanceof Failure
    ? error.code === exitCode.unreachable
    : error instanceof FsError && (error.is('hungUp') || error.is('unreachable'))

/** The connection to the server, made anew whenever it breaks: quickly at first, then every few seconds. */
export class Link {
  #root: Promise<Fid> | undefined
  #connection: Connection | undefined
  #closed = false
  #before = false
  /** Whether it has been said that the server is away. */
  #away = false
  readonly #end = new AbortController()

  constructor(
    readonly io: Invocation,
    /** Told, a line each, when the server goes and comes. */
    readonly note: (line: string) => void,
    /** For how long it is tried, in ms, at first and when it was lost: a person waits as long as he likes. */
    readonly patience: { first: number; again: number } = {
      first: Number.POSITIVE_INFINITY,
      again: Number.POSITIVE_INFINITY,
    },
  ) {}

  /**
   * The server's root, when there is one.
   * @throws Failure (auth) at once, (unreachable) after `patience`; `interrupted` when the signal aborts
   */
  async root(signal: AbortSignal = this.#end.signal): Promise<Fid> {
    this.#root ??= this.#connect()
    let abort!: () => void
    const aborted = new Promise<never>((_, reject) => {
      abort = () => reject(fail('interrupted'))
    })
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
    try {
      return await Promise.race([this.#root, aborted])
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }

  close(): void {
    this.#closed = true
    this.#end.abort()
    this.#connection?.client.close()
  }

  async #connect(): Promise<Fid> {
    const end = Date.now() + (this.#before ? this.patience.again : this.patience.first)
    for (let pause = FIRST_MS; ; pause = Math.min(LONGEST_MS, pause * 2)) {
      try {
        const connection = await this.io.connect()
        this.#connection = connection
        if (this.#away) this.note(this.#before ? 'connected again' : 'connected')
        this.#away = false
        this.#before = true
        void connection.client.closed.then(reason => this.#lost(reason))
        return connection.root
      } catch (error) {
        if (this.#closed || !isAway(error) || Date.now() + pause > end) {
          this.#root = undefined
          throw error
        }
        if (!this.#away) this.note(`${explain(error)}; waiting for it`)
        this.#away = true
        // drawn at random, so that many do not come at once
        await sleep(pause * (0.5 + Math.random() / 2), undefined, { signal: this.#end.signal }).catch(() => {})
      }
    }
  }

  #lost(reason: Error | undefined): void {
    this.#connection = undefined
    this.#root = undefined
    if (this.#closed) return
    this.note(`connection lost${reason ? ` (${explain(reason)})` : ''}; trying again`)
    this.#away = true
    this.#root = this.#connect()
    // who needs it asks for it
    this.#root.catch(() => {})
  }
}
