/** limbot's connection to the server, which reconnects by itself. */
import { setTimeout as sleep } from 'node:timers/promises'
import { FsError, fail } from '../api/errors.js'
import type { Connection } from '../cli/connect.js'
import { exitCode, explain, Failure } from '../cli/exit.js'
import type { Invocation } from '../cli/invocation.js'
import { backoff } from '../fs/base/backoff.js'
import { interruptible } from '../fs/base/interruptible.js'
import type { Fid } from '../fs/client/client.js'

/** Pauses between two attempts to reach the server. */
const PAUSES = { first_ms: 100, longest_ms: 3000, least: 0.5 }

/** Whether an error means that the server is gone or does not answer yet, rather than that it refuses. */
export const isAway = (error: unknown): boolean =>
  error instanceof Failure
    ? error.code === exitCode.unreachable
    : error instanceof FsError && (error.is('hungUp') || error.is('unreachable'))

/** A connection to the server that reconnects whenever it breaks: at short intervals first, then every few seconds. */
export class Link {
  #root: Promise<Fid> | undefined
  #connection: Connection | undefined
  #closed = false
  #before = false
  /** Whether the user has been told that the server is away. */
  #away = false
  readonly #end = new AbortController()

  constructor(
    readonly io: Invocation,
    /** Called with a line when the server goes away and when it is back. */
    readonly note: (line: string) => void,
    /**
     * How long to try, in ms, at the start and after a loss. Without a limit in a chat: the user waits as long as they
     * like.
     */
    readonly patience: { first: number; again: number } = {
      first: Number.POSITIVE_INFINITY,
      again: Number.POSITIVE_INFINITY,
    },
  ) {}

  /**
   * The server's root, as soon as there is a connection.
   * @throws Failure (auth) at once, (unreachable) after `patience`; FsError `interrupted` when the signal aborts
   */
  async root(signal: AbortSignal = this.#end.signal): Promise<Fid> {
    this.#root ??= this.#connect()
    try {
      return await interruptible(this.#root, signal)
    } catch (error) {
      throw signal.aborted ? fail('interrupted') : error
    }
  }

  close(): void {
    this.#closed = true
    this.#end.abort()
    this.#connection?.client.close()
  }

  async #connect(): Promise<Fid> {
    const end = Date.now() + (this.#before ? this.patience.again : this.patience.first)
    for (let failures = 0; ; failures++) {
      try {
        const connection = await this.io.connect()
        this.#connection = connection
        if (this.#away) this.note(this.#before ? 'connected again' : 'connected')
        this.#away = false
        this.#before = true
        void connection.client.closed.then(reason => this.#lost(reason))
        return connection.root
      } catch (error) {
        const pause = backoff(failures, PAUSES, Math.random)
        if (this.#closed || !isAway(error) || Date.now() + pause > end) {
          this.#root = undefined
          throw error
        }
        if (!this.#away) this.note(`${explain(error)}; waiting for the server`)
        this.#away = true
        await sleep(pause, undefined, { signal: this.#end.signal }).catch(() => {})
      }
    }
  }

  #lost(reason: Error | undefined): void {
    this.#connection = undefined
    this.#root = undefined
    if (this.#closed) return
    this.note(`connection lost${reason ? ` (${explain(reason)})` : ''}; reconnecting`)
    this.#away = true
    this.#root = this.#connect()
    // a failure reaches the callers of `root`
    this.#root.catch(() => {})
  }
}
