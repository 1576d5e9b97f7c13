/** The 9P connection behind a mount, which reconnects by itself. */
import { setTimeout as sleep } from 'node:timers/promises'
import { backoff } from '../fs/base/backoff.js'
import { timeLimit } from '../fs/base/clock.js'
import { fail } from '../fs/base/errors.js'
import { MAX_MSIZE } from '../fs/base/limits.js'
import { Attaches } from '../fs/client/attaches.js'
import { Client, type Fid } from '../fs/client/client.js'
import { dial } from '../fs/dial.js'
import { userName } from './users.js'

export interface LinkOptions {
  address: string
  token?: string
  fingerprint?: string
  aname?: string
  /** The address is a unix socket that is trusted because of where it is, which is checked at each dial. */
  ownPlace?: boolean
  /** Called with every 9P message as a line. */
  trace?: (line: string) => void
  /** Connects to the address; tests replace it. */
  dial?: typeof dial
}

/** Pauses before connecting again. */
const PAUSES = { first_ms: 100, longest_ms: 5000 }
/** How long one attempt to connect may take, in ms. */
const TRY_MS = 15_000

/**
 * The one connection behind a mount. All its users share it, each with a Tattach of their own, so that the server knows
 * which user is behind each request. When the connection is lost, every request that waits on it fails, and so does
 * every new one until the link has reconnected. It retries after a random part of a delay that starts at 0.1 s and
 * doubles up to 5 s. Fids do not survive a reconnection.
 */
export class Link {
  #client: Client | undefined
  readonly #attaches = new Attaches<number>(
    uid => this.#attach(uid),
    uid => uid,
  )
  #closed = new AbortController()

  /** Connects and attaches as `uid`, so that a wrong address or token is reported before anything is mounted. */
  static async open(options: LinkOptions, uid: number, signal?: AbortSignal): Promise<Link> {
    const link = new Link(options)
    link.#adopt(await link.#connect(signal))
    try {
      await link.root(uid)
    } catch (error) {
      link.close()
      throw error
    }
    return link
  }

  private constructor(readonly options: LinkOptions) {}

  /** The current connection; undefined while there is none. Fids of an earlier connection are dead. */
  get client(): Client | undefined {
    return this.#client
  }

  /**
   * The root fid of a user: a Fid if the user is attached already, else a promise of it.
   * @throws FsError `i/o on hungup channel` while there is no connection
   */
  root(uid: number): Fid | Promise<Fid> {
    if (!this.#client) throw fail('hungUp', `no connection to ${this.options.address}; reconnecting`)
    return this.#attaches.root(uid)
  }

  #attach(uid: number): Promise<Fid> {
    const { token, aname = '' } = this.options
    const given = token === undefined ? {} : { token }
    return this.#client!.attach({ uname: userName(uid), n_uname: uid, aname, ...given })
  }

  close(): void {
    this.#closed.abort()
    this.#client?.close()
    this.#client = undefined
  }

  async #connect(signal?: AbortSignal): Promise<Client> {
    const { address, token, fingerprint, ownPlace, trace, dial: reach = dial } = this.options
    const stops = [this.#closed.signal, timeLimit(TRY_MS)]
    if (signal) stops.push(signal)
    const stop = AbortSignal.any(stops)
    const transport = await reach(address, { token, fingerprint, ownPlace }, stop)
    return Client.connect(transport, { msize: MAX_MSIZE, ...(trace ? { trace } : {}) }, stop)
  }

  #adopt(client: Client): void {
    this.#client = client
    void client.closed.then(() => {
      this.#client = undefined
      if (!this.#closed.signal.aborted) void this.#reconnect()
    })
  }

  async #reconnect(): Promise<void> {
    for (let failures = 0; !this.#closed.signal.aborted; failures++) {
      try {
        await sleep(backoff(failures, PAUSES, Math.random), undefined, { signal: this.#closed.signal })
        return this.#adopt(await this.#connect())
      } catch (error) {
        this.options.trace?.(`# ${error instanceof Error ? error.message : error}`)
      }
    }
  }
}
