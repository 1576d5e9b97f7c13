/**
 * The server's side of one 9P connection: version, tags, flushes, the order of replies, time limits and memory
 * accounting. What each request does is in operations.ts.
 */

import { type Cancel, type Clock, systemClock } from '../base/clock.js'
import { FsError, fail, toFsError } from '../base/errors.js'
import type { Holding } from '../base/holding.js'
import * as limits from '../base/limits.js'
import type { MaybePromise } from '../base/maybe-promise.js'
import type { User } from '../file.js'
import type { Transport } from '../transport.js'
import { Framer } from '../wire/framer.js'
import { type Message, type RMessage, type TMessage, tagOf, unpack } from '../wire/message.js'
import { type Dialect, NOTAG } from '../wire/protocol.js'
import { text } from '../wire/text.js'
import { Account } from './account.js'
import type { Attaching } from './attach.js'
import type { ConnectionState, Request } from './connection.js'
import { pathOf } from './fid.js'
import { close } from './fid-actions.js'
import { Fids } from './fids.js'
import { operations } from './operations.js'
import type { ServeOptions } from './options.js'
import { Pending } from './pending.js'
import { errorReply, lengthOf, packReply, replyOf } from './reply.js'

export type { ServeOptions } from './options.js'

/** Requests that fail in ordinary use: a shell looks for many files that do not exist. */
const lookups = new Set<TMessage['type']>([
  'Tattach',
  'Tauth',
  'Twalk',
  'Tstat',
  'Tgetattr',
  'Txattrwalk',
  'Tlock',
  'Tgetlock',
])

/**
 * The size of the buffer into which Node reads from a socket. A chunk of this length means that more data has arrived.
 * The connection reads that before it answers, because each separate reply wakes the peer, which costs more than the
 * reply itself.
 */
const FULL_CHUNK = 64 * 1024

/**
 * The waits that have a time limit: for a Tversion, for a token, for the rest of a message, for the client to read its
 * replies.
 */
type TimerName = 'version' | 'attach' | 'frame' | 'queued'

/** Serves a tree over one connection until that ends. @see ServeOptions */
export function serve(transport: Transport, options: ServeOptions): Connection {
  return new Connection(transport, options)
}

/** One connection's server side. See `serve`. */
export class Connection implements ConnectionState {
  dialect: Dialect = '9P2000'
  msize = 0
  readonly fids = new Fids()
  readonly authenticate: ConnectionState['authenticate']
  readonly user: User | undefined
  readonly attachOptions: readonly string[]
  /** Resolves when the connection has ended and all its open files are closed. */
  readonly closed: Promise<void>
  /** Counts the memory that the connection keeps. */
  readonly account: Account
  #end!: () => void
  readonly #framer: Framer
  #inbox: Uint8Array[] = []
  /** Requests by tag. The tag of a Tflush that waits maps to the request that it waits for. */
  #pending = new Map<number, Pending>()
  #out: Uint8Array[][] = []
  #outBytes = 0
  #reserved = 0
  /**
   * The bytes counted for what waits in this connection: requests that are not handled yet, and replies that have not
   * left.
   */
  #waiting = 0
  /** Whether the memory accounting has no room for more replies. */
  #short = false
  #sending = false
  #soon: NodeJS.Immediate | undefined
  #paused = false
  #ended = false
  readonly clock: Clock
  #timers: Record<TimerName, Cancel | undefined> = {
    attach: undefined,
    frame: undefined,
    queued: undefined,
    version: undefined,
  }
  #times: Required<NonNullable<ServeOptions['times']>>

  constructor(
    readonly transport: Transport,
    readonly options: ServeOptions,
  ) {
    this.authenticate = options.authenticate
    this.user = options.user
    this.attachOptions = options.attachOptions ?? []
    this.clock = options.clock ?? systemClock
    this.#times = {
      version: limits.VERSION_TIMEOUT_MS,
      attach: limits.ATTACH_TIMEOUT_MS,
      frame: limits.FRAME_TIMEOUT_MS,
      queued: limits.QUEUED_TIMEOUT_MS,
      flush: limits.FLUSH_GRACE_MS,
      ...options.times,
    }
    this.closed = new Promise(resolve => {
      this.#end = resolve
    })
    let refusal: unknown
    try {
      this.account = new Account(options.hold, limits.CONNECTION_BYTES + (transport.extra ?? 0))
    } catch (error) {
      this.account = new Account(undefined)
      refusal = error
    }
    this.#framer = new Framer(this.account)
    this.#timer('version', this.#times.version, 'the client sent no Tversion')
    transport.ondata = chunk => this.#receive(chunk)
    transport.onclose = () => this.#ending()
    transport.ondrain = () => this.#pump()
    if (refusal !== undefined) this.giveUp(toFsError(refusal))
  }

  /** Closes the connection at once, with the given reason. */
  giveUp(why: Error): void {
    this.#ending()
    this.transport.destroy(why)
  }

  /** Closes the connection: queued replies are still sent, waiting requests are aborted, all fids are clunked. */
  close(): void {
    this.#ending()
    this.transport.close()
  }

  attach(who: Attaching) {
    // where a token is required, this is called only after the client has presented one
    this.#clear('attach')
    return this.options.attach(who)
  }

  hold(user: User): Holding | undefined {
    this.account.attached(user)
    return this.options.hold?.(user)
  }

  /** Treats `bytes` as queued until `answer` settles. */
  reserve(bytes: number, answer: Promise<unknown>): void {
    this.#reserved += bytes
    const release = () => {
      this.#reserved -= bytes
      this.#pump()
    }
    answer.then(release, release)
  }

  #receive(chunk: Uint8Array): void {
    try {
      this.#framer.push(
        chunk,
        bytes => this.#inbox.push(bytes),
        (head, why) => this.#reply(this.#error(tagOf(head), why)),
      )
    } catch (error) {
      // the message boundaries are lost: answer what came before, then disconnect
      this.#pump()
      this.transport.destroy(toFsError(error))
      return
    }
    if (this.#framer.partial || this.transport.unread)
      this.#timers.frame ?? this.#timer('frame', this.#times.frame, 'the client did not complete a message')
    else this.#clear('frame')
    if (chunk.length < FULL_CHUNK) this.#pump()
    else if (!this.#soon)
      this.#soon = setImmediate(() => {
        this.#soon = undefined
        this.#pump()
      })
  }

  /** Whether so many replies are queued that no more requests may be handled. */
  get #full(): boolean {
    const { queued } = this.transport
    // when nothing is queued, replies leave at once and need no room
    this.#short = queued > 0 && !this.account.fits(Math.max(0, queued + this.#outBytes + this.msize - this.#waiting))
    return this.#short || queued + this.#outBytes + this.#reserved > limits.MAX_QUEUED
  }

  /**
   * Counts the bytes that wait on the connection. If there is no room for them, disconnects: they exist already, so
   * they cannot be refused one by one.
   */
  #weigh(): void {
    const { queued, unread = 0 } = this.transport
    const waiting = this.#inbox.reduce((n, { length }) => n + length, queued + this.#outBytes + unread)
    const more = waiting - this.#waiting
    if (more < 0) this.account.shrink(-more)
    else if (more > 0 && !this.account.owe(more))
      return this.giveUp(fail('overMemory', `${waiting} bytes are queued on one connection`))
    this.#waiting = waiting
  }

  /** Handles received requests as long as the client reads its replies, and sends all replies to them in one write. */
  #pump(): void {
    if (this.#ended) return
    let done = 0
    // replies made in this loop are sent together below
    this.#sending = this.#inbox.length > 0
    try {
      while (done < this.#inbox.length && !this.#full) this.#handle(this.#inbox[done++]!)
    } finally {
      this.#sending = false
    }
    if (done) this.#inbox = done === this.#inbox.length ? [] : this.#inbox.slice(done)
    this.#flushOut()
    const full = this.#full || this.#inbox.length > 0
    if (full && !this.#paused) {
      this.#paused = true
      this.transport.pause()
    } else if (!full && this.#paused) {
      this.#paused = false
      this.transport.resume()
    }
    this.#weigh()
    if (this.transport.queued > limits.MAX_QUEUED || (this.#short && full)) {
      if (!this.#timers.queued) this.#timer('queued', this.#times.queued, 'the client does not read replies')
    } else this.#clear('queued')
  }

  #handle(bytes: Uint8Array): void {
    if (this.#ended) return
    const tag = tagOf(bytes)
    let m: TMessage
    try {
      const any = unpack(bytes, this.msize === 0 ? '9P2000' : this.dialect)
      if (this.options.trace) this.#trace('<- ', any)
      if (any.type[0] !== 'T') throw fail('badMessage', `${any.type} is not a request`)
      m = any as TMessage
    } catch (error) {
      this.#reply(this.#error(tag, error))
      return
    }
    if (m.type === 'Tversion') return this.#version(m.tag, m.msize, m.version)
    if (this.msize === 0) return this.#reply(this.#error(tag, fail('badMessage', 'expected Tversion first')))
    if (this.#pending.has(tag) || tag === NOTAG)
      return this.#reply(this.#error(tag, fail('badMessage', 'duplicate tag')))
    if (m.type === 'Tflush') return this.#flush(tag, m.oldtag)
    if (this.#pending.size >= limits.MAX_OUTSTANDING) return this.#reply(this.#error(tag, fail('tooManyRequests')))

    const request = new Pending(tag, this)
    this.#pending.set(tag, request)
    let answer: MaybePromise<object>
    try {
      answer = (operations[m.type] as (host: ConnectionState, m: TMessage, request: Request) => MaybePromise<object>)(
        this,
        m,
        request,
      )
    } catch (error) {
      return this.#settle(request, this.#failed(m, request, error))
    }
    if (m.type === 'Tclunk' || m.type === 'Tremove') {
      request.ends = true
      this.#interrupt(request)
    }
    if (answer instanceof Promise) {
      if (!request.ends) request.keep(limits.REQUEST_BYTES + bytes.length)
      this.#later(m, request, answer)
    } else this.#settle(request, replyOf(m, answer))
  }

  /** A separate function, so that requests answered at once allocate no closures. */
  #later(m: TMessage, request: Pending, answer: Promise<object>): void {
    answer.then(
      body => this.#settle(request, replyOf(m, body)),
      error => this.#settle(request, this.#failed(m, request, request.refusal ?? error)),
    )
  }

  /** Aborts the requests that wait on the fid that `by` has clunked. */
  #interrupt(by: Pending): void {
    for (const request of this.#pending.values())
      if (request !== by && request.fid?.gone && !request.aborted) request.abort()
  }

  /**
   * flush(5): never fails. A reply that the old request still earns goes before its Rflush, none goes after; a request
   * that was interrupted gets none, and is then as if it had never been sent.
   */
  #flush(tag: number, oldtag: number): void {
    const old = this.#pending.get(oldtag)
    if (!old) return this.#reply({ type: 'Rflush', tag })
    this.#pending.set(tag, old)
    if (old.flushes) {
      old.flushes.push(tag)
      return
    }
    old.flushes = [tag]
    old.abort()
    const late = () => this.#pending.get(old.tag) === old && this.#giveUp(old)
    this.clock.after(this.#times.flush, late, true)
  }

  /**
   * Frees the tag of a flushed request without waiting for its call any longer. From here on the client may reuse the
   * number of the fid that the request was creating.
   */
  #giveUp(old: Pending): void {
    old.dropped = true
    const { making } = old
    if (making && this.fids.get(making.number) === making.fid) {
      making.fid.gone = true
      making.fid.holding?.free()
      this.fids.delete(making.number)
    }
    if (old.ends) this.#reply(this.#error(old.tag, fail('interrupted')))
    this.#release(old)
  }

  #settle(request: Pending, reply: RMessage): void {
    if (request.dropped) return
    if (reply.type === 'Rwrite' && request.user) this.options.onwrite?.(request.user)
    const interrupted = request.aborted && (reply.type === 'Rerror' || reply.type === 'Rlerror')
    if (!interrupted || !request.flushes || request.ends) this.#reply(reply)
    this.#release(request)
  }

  /** Frees a request's tag and answers the flushes that wait for it. */
  #release(request: Pending): void {
    request.done()
    this.#pending.delete(request.tag)
    if (!request.flushes) return
    for (const tag of request.flushes) {
      this.#pending.delete(tag)
      this.#reply({ type: 'Rflush', tag })
    }
  }

  #failed(m: TMessage, request: Pending, thrown: unknown): RMessage {
    const error = toFsError(thrown)
    // `unknown fid` is not the user's mistake either: the client may have pipelined this request behind a walk that
    // failed
    if (request.user && !request.aborted && !lookups.has(m.type) && !error.is('unknownFid'))
      this.options.onfail?.(error, request.user, pathOf(request.fid?.place))
    return this.#error(m.tag, thrown)
  }

  #error(tag: number, thrown: unknown): RMessage {
    const error = toFsError(thrown)
    if (!(thrown instanceof FsError) && error.cause !== undefined) this.options.onerror?.(thrown)
    return errorReply(tag, error, this)
  }

  #reply(m: RMessage): void {
    if (this.#ended) return
    const parts = this.#pack(m)
    this.#out.push(parts)
    this.#outBytes += lengthOf(parts)
    // replies made outside #pump are sent together, too: at the end of this turn of the event loop
    if (!this.#sending) {
      this.#sending = true
      queueMicrotask(() => {
        this.#sending = false
        this.#pump()
      })
    }
  }

  /** The bytes of a reply. If the reply cannot be encoded, the bytes of an error in its place. */
  #pack(m: RMessage): Uint8Array[] {
    try {
      const parts = packReply(m, this)
      this.#trace('-> ', m)
      return parts
    } catch (error) {
      if (m.type === 'Rerror' || m.type === 'Rlerror') throw error
      return this.#pack(this.#error(m.tag, error))
    }
  }

  #flushOut(): void {
    if (this.#out.length === 0 || this.#ended) return
    const out = this.#out
    this.#out = []
    this.#outBytes = 0
    this.transport.send(out)
  }

  #version(tag: number, msize: number, version: string): void {
    this.#clear('version')
    this.#clear('attach')
    if (this.authenticate && !this.user) this.#timer('attach', this.#times.attach, 'the client sent no token')
    this.#reset()
    const dialect = dialectOf(version)
    if (!dialect) {
      this.msize = 0
      return this.#reply({ type: 'Rversion', tag, msize: Math.min(msize, limits.MAX_MSIZE), version: 'unknown' })
    }
    if (msize < limits.MIN_MSIZE) {
      // nothing is agreed on yet, so the refusal is in plain 9P2000, which every client can read
      this.msize = 0
      return this.#reply(
        this.#error(tag, fail('badArgument', `msize ${msize} is too small; expected at least ${limits.MIN_MSIZE}`)),
      )
    }
    this.msize = Math.min(msize, limits.MAX_MSIZE)
    this.dialect = dialect
    this.#framer.most = this.msize
    this.#reply({ type: 'Rversion', tag, msize: this.msize, version: dialect })
  }

  /** version(5): aborts all outstanding requests, without replies, and clunks all fids. */
  #reset(): Promise<unknown> {
    for (const request of this.#pending.values()) {
      request.done()
      request.dropped = true
      request.abort()
    }
    this.#pending.clear()
    const fids = [...this.fids.values()]
    this.fids.clear()
    const report = (error: unknown) => {
      if (!(error instanceof FsError)) this.options.onerror?.(error)
    }
    return Promise.all(
      fids.map(async fid => {
        try {
          await close(fid)
        } catch (error) {
          report(error)
        }
      }),
    )
  }

  #ending(): void {
    if (this.#ended) return
    this.#flushOut()
    this.#ended = true
    for (const name of Object.keys(this.#timers) as TimerName[]) this.#clear(name)
    this.#inbox = []
    this.account.free()
    this.#reset().then(() => this.#end())
  }

  #timer(name: TimerName, ms: number, why: string): void {
    const late = () => this.transport.destroy(new Error(`${this.transport.name}: ${why}`))
    this.#timers[name] = this.clock.after(ms, late, true)
  }

  #clear(name: TimerName): void {
    this.#timers[name]?.()
    this.#timers[name] = undefined
  }

  #trace(direction: string, m: Message): void {
    // a write to an afid carries a token, which must not appear in a trace
    const secret = m.type === 'Twrite' && this.fids.get(m.fid)?.auth
    this.options.trace?.(direction + text(secret ? { ...m, data: new Uint8Array(0) } : m))
  }
}

/**
 * The dialect to use for a client's version string (version(5)): an unknown suffix after a dot is ignored. Undefined if
 * there is none.
 */
function dialectOf(version: string): Dialect | undefined {
  if (/^9P2000\.L(\.|$)/.test(version)) return '9P2000.L'
  if (version === '9P2000.u') return '9P2000.u'
  return /^9P2000(\.|$)/.test(version) ? '9P2000' : undefined
}
