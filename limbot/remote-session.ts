/** A conversation's session at the server: made, configured and given its history as needed. */

import { FsError } from '../api/errors.js'
import { messageLine } from '../api/request.js'
import { type Sampling, samplingNames } from '../api/sampling.js'
import { status } from '../api/status.js'
import { sessionNumber } from '../api/task.js'
import { promptly, readText, withFile } from '../cli/files.js'
import { timeLimit } from '../fs/base/clock.js'
import { quote } from '../fs/base/quote.js'
import type { Fid } from '../fs/client/client.js'
import { ORDWR, OTRUNC, OWRITE } from '../fs/wire/protocol.js'
import type { Message } from './conversation.js'

/** The settings and the history that a session must have. */
export interface Wanted {
  readonly model: string | undefined
  readonly system: string
  readonly sampling: Partial<Sampling>
  readonly messages: readonly Message[]
}

const encoder = new TextEncoder()

/**
 * A conversation at the server: a directory of `session/`. It is made when first needed, found again by its number
 * after a reconnection or a restart of the server, and made again with its history if it is gone.
 */
export class RemoteSession {
  /** The path of its directory: `session/7`, or the same below a worker. */
  path: readonly string[] = []
  /** An open file of the session: the server keeps a session for as long as one of its files is open. */
  #held: Fid | undefined
  #cluster = ''
  #ctl = ''
  #system = ''
  /** Whether our messages and the server's may differ. */
  #stale = true

  constructor(
    /**
     * The worker that must answer: the session is made in its directory. undefined: the server chooses a worker for
     * each message.
     */
    readonly worker: string | undefined,
  ) {}

  get number(): string | undefined {
    return this.path.at(-1)
  }

  /** Marks the history as out of date: it is written again before the next turn. */
  stale(): void {
    this.#stale = true
  }

  /** Makes the session if needed, and brings its settings and history up to date. @throws FsError, Failure */
  async ready(root: Fid, wanted: Wanted, signal: AbortSignal): Promise<void> {
    await promptly(root, [...this.path], signal, async signal => {
      if (!(await this.#found(root, signal))) await this.#make(root, signal)
    })
    const ctl = this.#lines(wanted)
    if (ctl !== this.#ctl) {
      await this.#write(root, 'ctl', ctl, OWRITE, signal)
      this.#ctl = ctl
    }
    if (wanted.system !== this.#system) {
      await this.#write(root, 'system', wanted.system, OWRITE | OTRUNC, signal)
      this.#system = wanted.system
    }
    if (!this.#stale) return
    const history = wanted.messages.map(({ role, content, stopped }) =>
      messageLine({ role, content, ...(stopped && { stopped: true }) }),
    )
    await this.#write(root, 'history', history.join(''), OWRITE | OTRUNC, signal)
    this.#stale = false
  }

  /** Ends the session at the server. Never rejects; it waits 1 s at most. */
  async close(root: Fid): Promise<void> {
    const signal = timeLimit(1000)
    if (this.path.length) await this.#write(root, 'ctl', 'close\n', OWRITE, signal).catch(() => {})
    this.path = []
  }

  /** Cancels the answer in progress, and those that wait. */
  cancel(root: Fid, signal: AbortSignal): Promise<void> {
    return this.#write(root, 'ctl', 'cancel\n', OWRITE, signal)
  }

  async #found(root: Fid, signal: AbortSignal): Promise<boolean> {
    if (!this.number) return false
    if (this.#held?.client === root.client) {
      const fid = await root.walk(this.path, signal).catch(ifGone)
      await fid?.clunk()
      return fid !== undefined
    }
    // this is another connection: at another cluster the same number is another session, or none
    if ((await idOf(root, signal)) !== this.#cluster) return false
    const held = await root.walk([...this.path, 'ctl'], signal).catch(ifGone)
    if (!held) return false
    this.#held = await held.open(ORDWR, signal)
    return true
  }

  async #make(root: Fid, signal: AbortSignal): Promise<void> {
    const base = [...(this.worker ? [this.worker] : []), 'session']
    const fid = await root.walk([...base, 'clone'], signal)
    await fid.open(ORDWR, signal)
    const number = sessionNumber(Buffer.from(await fid.read(0, 64, signal)).toString())
    this.path = [...base, number]
    this.#held = fid
    this.#cluster = await idOf(root, signal)
    this.#ctl = this.#lines({ model: undefined, sampling: {} })
    this.#system = ''
    this.#stale = true
  }

  #lines({ model, sampling }: Pick<Wanted, 'model' | 'sampling'>): string {
    // a command without a value resets its setting to the server's default
    const values = samplingNames.map(word => {
      const value = sampling[word]
      return value === undefined
        ? word
        : `${word} ${[value]
            .flat()
            .map(one => quote(String(one)))
            .join(' ')}`
    })
    return [`model ${quote(model ?? '')}`, ...values].map(line => `${line}\n`).join('')
  }

  /**
   * Writes a file of the session. A file that the server checks at the close is synced first, so that the check's error
   * is thrown.
   */
  async #write(root: Fid, name: string, text: string, mode: number, signal: AbortSignal): Promise<void> {
    await withFile(root, [...this.path, name], mode, signal, async fid => {
      await fid.write(0, encoder.encode(text), signal)
      if (mode & OTRUNC) await fid.sync(signal)
    })
  }
}

function ifGone(error: unknown): undefined {
  if (error instanceof FsError && error.isMissing) return undefined
  throw error
}

/** The server's id, which never changes. */
async function idOf(root: Fid, signal: AbortSignal): Promise<string> {
  return status.read(await readText(root, ['status'], signal)).server.id
}
