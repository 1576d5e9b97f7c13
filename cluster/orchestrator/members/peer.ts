/** A peer that has joined: a worker, a cluster or a host. The orchestrator uses its files, and nothing else. */

import { fail, toFsError } from '../../../api/errors.js'
import * as field from '../../../api/field.js'
import { mostOf, parseReport, type Report } from '../../../api/report.js'
import type { Clock } from '../../../fs/base/clock.js'
import type { Holding } from '../../../fs/base/holding.js'
import { within } from '../../../fs/base/interruptible.js'
import { quote } from '../../../fs/base/quote.js'
import { type Attaches, attachesOfUsers } from '../../../fs/client/attaches.js'
import { Client, type Fid } from '../../../fs/client/client.js'
import type { File, User } from '../../../fs/file.js'
import { remote } from '../../../fs/kit/remote.js'
import type { Transport } from '../../../fs/transport.js'
import { ORDWR, OREAD } from '../../../fs/wire/protocol.js'
import { SECRET_ANAME } from '../../joining.js'
import { COMMAND_MS, GREETING_MS } from '../limits.js'

const decoder = new TextDecoder()
const encoder = new TextEncoder()

/** Most bytes that are read of a secret. */
const MAX_SECRET = 256
/** Bytes of one read. */
const PIECE = 64 * 1024
/**
 * Most bytes that are read of a file or an answer: the longest is a request with its history (cluster/root/limits.ts).
 */
const MAX_WHOLE = 64 * 1024 * 1024

/** The far end of a joined connection. */
export class Peer {
  report!: Report
  /** The secret that it has shown to prove that the id is its own; undefined if it has none. */
  secret: string | undefined
  /** Whether a read of its status is under way. */
  refreshing = false
  readonly root: File
  readonly #attaches: Attaches<User>
  /**
   * The fid that was read last. Its clunk is sent with the next request: alone it would cost both ends half as much as
   * a heartbeat.
   */
  #last: Fid | undefined

  private constructor(
    readonly client: Client,
    readonly clock: Clock,
    /** The user of our own requests. */
    readonly self: User,
  ) {
    this.#attaches = attachesOfUsers(({ name: uname, uid: n_uname, role }) =>
      client.attach({ uname, n_uname, aname: `/?role=${role}` }),
    )
    this.root = remote({ attaches: this.#attaches, owner: { name: self.name, uid: self.uid }, clock })
  }

  /**
   * Connects to a joining peer and reads its status and its secret.
   * @param holding counts what the connection keeps of incomplete messages; freed when it has closed
   * @throws FsError if it speaks no version of 9P that we know, does not answer in time, or its status is invalid; the
   *   connection is closed then
   */
  static async meet(transport: Transport, clock: Clock, self: User, holding: Holding): Promise<Peer> {
    const late = () => fail('badMessage', `joined but did not answer for ${GREETING_MS / 1000} s`)
    const greet = async (signal: AbortSignal) => {
      const client = await Client.connect(transport, { clock, holding }, signal)
      const peer = new Peer(client, clock, self)
      await peer.refreshStatus(signal)
      peer.secret = await peer.#secret(signal)
      return peer
    }
    try {
      return await within(clock, GREETING_MS, undefined, greet, late)
    } catch (error) {
      transport.destroy()
      throw error
    }
  }

  /**
   * Reads its secret. It is in a tree of its own, which no user's attach through us reaches.
   * @throws FsError if it is not a secret
   */
  async #secret(signal: AbortSignal): Promise<string | undefined> {
    const { name: uname, uid: n_uname } = this.self
    try {
      const fid = await this.client.attach({ uname, n_uname, aname: SECRET_ANAME }, signal)
      await fid.open(OREAD, signal)
      const text = decoder.decode(await fid.read(0, MAX_SECRET, signal))
      fid.drop()
      return field.secret(text, 'secret')
    } catch (error) {
      if (error instanceof field.Unfit) throw fail('badMessage', error.message)
      // a peer of a version before secrets does not know the option
      if (toFsError(error).is('badArgument')) return undefined
      throw error
    }
  }

  /** The peer's root as this user sees it. */
  async as(user: User): Promise<Fid> {
    return this.#attaches.root(user)
  }

  /** Reads its status again. @throws FsError `bad message` if that is invalid or has another id */
  async refreshStatus(signal?: AbortSignal): Promise<Report> {
    this.refreshing = true
    let text: string
    try {
      text = await this.read(['status'], this.self, signal, mostOf)
    } finally {
      this.refreshing = false
    }
    const report = parseReport(text)
    const { report: before } = this
    if (before && before.id !== report.id)
      throw fail('badMessage', `status: id changed from ${before.id} to ${report.id}`)
    this.report = report
    return report
  }

  /**
   * Reads a file as this user.
   * @param most gets the beginning of the text, and says how many bytes it may have
   * @throws FsError `bad message` if it has more
   */
  async read(
    path: readonly string[],
    user = this.self,
    signal?: AbortSignal,
    most: (head: string) => number = () => MAX_WHOLE,
  ): Promise<string> {
    const root = await this.as(user)
    this.#forget()
    // the first read is sent right behind the open: mostly it gets the whole file
    const { fid, answer } = await root.ask(
      path,
      async fid => (await Promise.all([fid.open(OREAD, signal), fid.read(0, PIECE, signal)]))[1],
      signal,
    )
    try {
      const parts = [answer]
      const bound = answer.length === PIECE ? most(decoder.decode(answer)) : PIECE
      for (let at = answer.length; parts.at(-1)!.length === PIECE; at += parts.at(-1)!.length) {
        if (at > bound) throw fail('badMessage', `${path.join('/')} has over ${bound} bytes`)
        parts.push(await fid.read(at, PIECE, signal))
      }
      return parts.length === 1 ? decoder.decode(answer) : decoder.decode(Buffer.concat(parts))
    } finally {
      this.#forget()
      this.#last = fid
    }
  }

  /**
   * Writes a request to a file such as `generate`, and reads the whole answer.
   * @throws FsError `file too large` if that is too long
   */
  async ask(file: string, request: string, user: User, signal: AbortSignal): Promise<string> {
    const root = await this.as(user)
    const { fid } = await root.ask([file], fid => fid.open(ORDWR, signal), signal)
    try {
      await fid.write(0, encoder.encode(request), signal)
      const parts: Uint8Array[] = []
      for (let at = 0, part: Uint8Array; (part = await fid.read(at, PIECE, signal)).length > 0; at += part.length) {
        if (at > MAX_WHOLE) throw fail('tooLarge', `${file} has over ${MAX_WHOLE} bytes`)
        parts.push(part)
      }
      return decoder.decode(Buffer.concat(parts))
    } finally {
      fid.drop()
    }
  }

  #forget(): void {
    this.#last?.drop()
    this.#last = undefined
  }

  /**
   * Writes lines to its `ctl`, and waits until it has carried them out.
   * @param signal ends the wait; if omitted, the wait ends after COMMAND_MS
   * @throws FsError the peer's own error, or that it has not answered in time
   */
  async command(lines: string, signal?: AbortSignal): Promise<void> {
    const write = async (signal: AbortSignal) => {
      const root = await this.as(this.self)
      await root.writeFile('ctl', encoder.encode(lines), signal)
    }
    return signal ? write(signal) : this.#soon(lines.trim(), write)
  }

  /** Reads its status again, for a command that waits for it. @throws FsError also if it does not answer in time */
  async reported(): Promise<void> {
    await this.#soon('read status', signal => this.refreshStatus(signal))
  }

  /** Limits a wait for an answer that the peer gives at once. @param what was asked, for the error */
  #soon<T>(what: string, ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const late = () =>
      fail(
        'io',
        `${this.report.name} did not answer ${quote(what)} within ${COMMAND_MS / 1000} s; try again, or end that process`,
      )
    return within(this.clock, COMMAND_MS, undefined, ask, late)
  }

  close(): void {
    this.client.close()
  }
}
