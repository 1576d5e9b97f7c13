import { setTimeout as sleep } from 'node:timers/promises'
import { Client, type Fid } from '../fs/client.js'
import { timeLimit } from '../fs/clock.js'
import { dial } from '../fs/dial.js'
import { fail } from '../fs/errors.js'
import { MAX_MSIZE } from '../fs/limits.js'
import { userName } from './users.js'

export interface LinkOptions {
  address: string
  token?: string
  fingerprint?: string
  aname?: string
  /** The address is a socket that is trusted by its place, which is checked at each dial. */
  ownPlace?: boolean
  /** Gets every 9P message as a line. */
  trace?: (line: string) => void
  /** How the address is reached, where a test has a connection of its own. */
  dial?: typeof dial
}

const FIRST_DELAY_MS = 100
const MOST_DELAY_MS = 5000
/** How long one try to reach the server may take. */
const TRY_MS = 15_000

/**
 * The connection behind a mount: one, shared by all its users, each with a Tattach of their own (namespace.md, "Reaching it").
 * When it is lost everything waiting on it fails, and so does what comes until it is back: tried again by itself, after
 * a random part of 0.1 s that doubles up to 5 s. Fids do not survive that.
 */
export class Link {
  #client: Client | undefined
  #roots = new Map<number, Fid | Promise<Fid>>()
  #closed = new AbortController()

  /** Connects and attaches as `uid`, so that what is wrong with the address or the token is known before there is a mount. */
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

  /** The connection as it is now, if it is. Fids of an earlier one are dead. */
  get client(): Client | undefined {
    return this.#client
  }

  /**
   * The root as this user sees it; at once where they are attached already.
   * @throws FsError `i/o on hungup channel` while there is no connection
   */
  root(uid: number): Fid | Promise<Fid> {
    const client = this.#client
    if (!client) throw fail('hungUp', `no connection to ${this.options.address}, trying again`)
    let root = this.#roots.get(uid)
    if (root) return root
    const { token, aname = '' } = this.options
    const roots = this.#roots
    root = client.attach({ uname: userName(uid), n_uname: uid, aname, ...(token === undefined ? {} : { token }) }).then(
      fid => {
        roots.set(uid, fid)
        return fid
      },
      error => {
        // not kept: who is refused now may be let in later
        roots.delete(uid)
        throw error
      },
    )
    roots.set(uid, root)
    return root
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
    this.#roots = new Map()
    void client.closed.then(() => {
      this.#client = undefined
      this.#roots = new Map()
      if (!this.#closed.signal.aborted) void this.#reconnect()
    })
  }

  async #reconnect(): Promise<void> {
    for (let most = FIRST_DELAY_MS; !this.#closed.signal.aborted; most = Math.min(2 * most, MOST_DELAY_MS)) {
      try {
        await sleep(Math.random() * most, undefined, { signal: this.#closed.signal })
        return this.#adopt(await this.#connect())
      } catch (error) {
        this.options.trace?.(`# ${error instanceof Error ? error.message : error}`)
      }
    }
  }
}
