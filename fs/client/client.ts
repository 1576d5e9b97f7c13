/**
 * The client's end of a 9P connection: version, attach, tags and flushes. What can be done with a file is in
 * fid.ts.
 */
import { OUR_TYPE } from '../base/attributes.js'
import { type Clock, systemClock } from '../base/clock.js'
import { errnoString, FsError, fail, received, toFsError } from '../base/errors.js'
import type { Holding } from '../base/holding.js'
import { IdPool } from '../base/id-pool.js'
import { DEFAULT_MSIZE, MAX_MSIZE, MAX_QUEUED, RFLUSH_TIMEOUT_MS } from '../base/limits.js'
import type { Transport } from '../transport.js'
import { Framer } from '../wire/framer.js'
import {
  type Message,
  type Msg,
  packParts,
  type ReplyOf,
  type RMessage,
  type TMessage,
  tagOf,
} from '../wire/message.js'
import { type Dialect, NOFID, NONUNAME, NOTAG } from '../wire/protocol.js'
import { text } from '../wire/text.js'
import type { ClientConnection } from './connection.js'
import { Fid } from './fid.js'
import { type Asked, check, unpackReply, unpackVersion } from './reply.js'

export { Fid } from './fid.js'

/** The options of `Client.connect`. */
export interface ClientOptions {
  /**
   * The dialect to propose in Tversion; the server may answer with another that this client speaks. By default the
   * client proposes 9P2000.u, then 9P2000.L, then plain 9P2000, until the server accepts one.
   */
  dialect?: Dialect
  /** The largest message in bytes; DEFAULT_MSIZE by default. The server may answer with less. */
  msize?: number
  /** Called with each message as a line of text that `parse` reads, after `-> ` (sent) or `<- ` (received). */
  trace?: (line: string) => void
  /** The clock that measures deadlines; the system clock by default. */
  clock?: Clock
  /**
   * Counts the bytes of incomplete messages; freed when the connection has closed. A reply for which it has no room
   * rejects its request. By default they are not counted: a client that dials a server trusts it that far.
   */
  holding?: Holding
}

/** The user that attaches, and the tree. */
export interface Attach {
  uname: string
  /** The uid (9P2000.u and 9P2000.L). If `uname` is empty, it identifies the user by itself. */
  n_uname?: number
  /** The tree to attach to, such as `/worker-0001?chunk`; the root by default. */
  aname?: string
  /** A token for a server that requires one, sent through Tauth. */
  token?: string
}

const DIALECTS: readonly Dialect[] = ['9P2000.u', '9P2000.L', '9P2000']

/**
 * The largest msize to use with plain 9P2000. Inferno agrees to more, but counts in 16 bits: a listing is garbage
 * beyond 65,536 bytes. Servers that speak a later dialect are too new to count like that.
 */
const MAX_PLAIN_MSIZE = 65535

/** The smallest msize to accept from a server: a stat must fit into a message. */
const MIN_SERVER_MSIZE = 256

/** The result of authentication when there is no token. */
const NO_AFID: { afid: number; refused?: FsError | undefined } = { afid: NOFID }

/** A request that has not been answered, or whose tag waits for its Rflush. Its tag is its index in a table of these. */
interface Pending {
  m: Asked
  resolve: (reply: RMessage) => void
  reject: (error: Error) => void
  signal: AbortSignal | undefined
  onabort: (() => void) | undefined
  /** Answered, but also flushed: its tag is not free before the Rflush (flush(5)). */
  answered: boolean
}

/**
 * A connection to a server that carries many requests at once, each with its own tag. All requests made in one turn of
 * the event loop leave in one write. The client buffers nothing but the replies it asked for, and disconnects from a
 * server that breaks the protocol.
 */
export class Client implements ClientConnection {
  /** Resolves when the connection has closed: with the reason, or with undefined for an ordinary end. Never rejects. */
  readonly closed: Promise<Error | undefined>
  /** Whether the server is a llambo server, according to the first stat that it sent; undefined before that. */
  ours: boolean | undefined
  #dialect: Dialect
  #msize: number
  readonly #framer: Framer
  readonly #holding: Holding | undefined
  /** Bytes that wait below the framer, such as half a WebSocket message, as `#holding` counts them. */
  #unread = 0
  #pending: (Pending | undefined)[] = []
  /** Requests that wait until the server has read the ones before them. */
  readonly #waiting = new Set<() => void>()
  /** For each signal, what its requests in flight do when it aborts. */
  readonly #watched = new Map<AbortSignal, { calls: Set<() => void>; listener: () => void }>()
  #version: Pending | undefined
  #tags = new IdPool(NOTAG - 1)
  #fids = new IdPool(NOFID - 1)
  #out: Uint8Array[][] = []
  #gone: FsError | undefined
  #closed!: (reason: Error | undefined) => void
  #trace: ((line: string) => void) | undefined
  readonly #clock: Clock
  /** Afids, to which tokens are written: traces do not show those. */
  #secret = new Set<number>()

  private constructor(
    readonly transport: Transport,
    options: ClientOptions,
  ) {
    this.#dialect = options.dialect ?? DIALECTS[0]!
    this.#msize = Math.min(options.msize ?? DEFAULT_MSIZE, MAX_MSIZE)
    this.#trace = options.trace
    this.#clock = options.clock ?? systemClock
    this.#holding = options.holding
    this.#framer = new Framer(options.holding)
    this.closed = new Promise(resolve => {
      this.#closed = resolve
    })
    transport.ondata = chunk => this.#receive(chunk)
    transport.onclose = reason => this.#over(reason)
    transport.ondrain = () => this.#drained()
  }

  #drained(): void {
    for (const done of [...this.#waiting]) done()
  }

  /**
   * Agrees on dialect and msize over a new connection; resolves when the server has answered Tversion.
   * @throws FsError if there is no common dialect or the connection fails; the transport is closed then
   */
  static async connect(transport: Transport, options: ClientOptions = {}, signal?: AbortSignal): Promise<Client> {
    const client = new Client(transport, options)
    const abort = () => transport.destroy(fail('interrupted'))
    try {
      if (signal?.aborted) throw fail('interrupted')
      signal?.addEventListener('abort', abort, { once: true })
      await client.#agree(options.dialect ? [options.dialect] : DIALECTS)
    } catch (error) {
      transport.destroy()
      throw signal?.aborted ? fail('interrupted') : error
    } finally {
      signal?.removeEventListener('abort', abort)
    }
    return client
  }

  get dialect(): Dialect {
    return this.#dialect
  }

  /** The largest message on this connection, in bytes. */
  get msize(): number {
    return this.#msize
  }

  async #agree([dialect, ...others]: readonly Dialect[]): Promise<void> {
    this.#dialect = dialect!
    const asked = { msize: this.#msize, version: this.#dialect }
    const reply = await new Promise<RMessage>((resolve, reject) => {
      const m = { type: 'Tversion', ...asked } as const
      this.#version = { m, resolve, reject, signal: undefined, onabort: undefined, answered: false }
      this.#post(m, NOTAG)
    }).catch(error => {
      // diod answers with an error where others answer `unknown`
      if (this.#gone || others.length === 0) throw error
    })
    const { msize, version } = (reply ?? { version: 'unknown' }) as Msg<'Rversion'>
    const spoken = DIALECTS.find(known => known === version)
    // version(5): nothing was agreed on, and the client may send another Tversion
    if (!spoken && others.length > 0) return this.#agree(others)
    if (!spoken)
      throw fail(
        'notSupported',
        `no common version of 9P: ${this.transport.name} answered ${JSON.stringify(version.slice(0, 80))}; this client speaks ${DIALECTS.join(', ')}`,
      )
    if (msize > asked.msize)
      throw fail('badMessage', `Rversion has msize ${msize}, but Tversion asked for ${asked.msize}`)
    if (msize < MIN_SERVER_MSIZE)
      throw fail('badMessage', `Rversion has msize ${msize}, at least ${MIN_SERVER_MSIZE} is needed`)
    this.#dialect = spoken
    this.#msize = msize
    if (spoken === '9P2000' && msize > MAX_PLAIN_MSIZE) {
      this.#msize = MAX_PLAIN_MSIZE
      return this.#agree([spoken])
    }
    this.#framer.most = msize
  }

  /**
   * Attaches a user to a tree (attach(5)), after auth(5) if there is a token and the server wants one.
   * @returns the fid of the tree's root
   * @throws FsError what the server answered
   */
  async attach(who: Attach, signal?: AbortSignal): Promise<Fid> {
    const { uname, n_uname = NONUNAME, aname = '', token } = who
    const { afid, refused } = token === undefined ? NO_AFID : await this.#auth({ uname, n_uname, aname }, token, signal)
    const fid = this.takeFid()
    let root: Fid
    try {
      root = new Fid(this, fid, (await this.rpc({ type: 'Tattach', fid, afid, uname, aname, n_uname }, signal)).qid)
    } catch (error) {
      this.giveFid(fid)
      if (!refused || !(error instanceof FsError) || this.#gone || signal?.aborted) throw error
      throw new FsError(`${error.message}; the server refused the token before that: ${refused.message}`, error.errno, {
        cause: error,
      })
    } finally {
      if (afid !== NOFID) this.#clunkAuth(afid)
    }
    if (signal?.aborted) {
      // the attach succeeded before the flush reached the server
      root.drop()
      throw fail('interrupted')
    }
    return root
  }

  /**
   * Creates an afid and writes the token to it. A server that refuses Tauth requires no token, and each words that
   * differently (`ramfs: authentication not required`, ENOENT, `unknown message`). Whether it admits the user shows in
   * its Rattach.
   * @returns NOFID if the server refused Tauth, with the refusal unless it is llambo's own `authentication not
   *   required`
   * @throws FsError if the token is refused
   */
  async #auth(
    who: { uname: string; n_uname: number; aname: string },
    token: string,
    signal?: AbortSignal,
  ): Promise<{ afid: number; refused?: FsError | undefined }> {
    const afid = this.takeFid()
    try {
      await this.rpc({ type: 'Tauth', afid, ...who }, signal)
    } catch (error) {
      this.giveFid(afid)
      if (this.#gone || signal?.aborted || !(error instanceof FsError)) throw error
      return { afid: NOFID, refused: error.is('noAuth') ? undefined : error }
    }
    this.#secret.add(afid)
    try {
      await this.rpc({ type: 'Twrite', fid: afid, offset: 0n, data: new TextEncoder().encode(token) }, signal)
    } catch (error) {
      this.#clunkAuth(afid)
      throw error
    }
    return { afid }
  }

  #clunkAuth(afid: number): void {
    const freed = () => {
      this.#secret.delete(afid)
      this.giveFid(afid)
    }
    this.rpc({ type: 'Tclunk', fid: afid }).then(freed, freed)
  }

  /**
   * Sends one request and waits for its reply. An abort sends Tflush and waits for Rflush (flush(5)): a reply that
   * arrives before it still counts, because the server has done what it says. Otherwise the request rejects with
   * `interrupted`.
   * @throws FsError what the server answered, `interrupted`, or `i/o on hungup channel`
   */
  rpc<T extends TMessage['type']>(m: { type: T } & Omit<Msg<T>, 'tag'>, signal?: AbortSignal): Promise<ReplyOf<T>> {
    // While the server does not read, the request waits here: once queued in the transport it could not be withdrawn
    // when its caller gives up, and the queue would grow without bound.
    if (this.transport.queued > MAX_QUEUED && !this.#gone && m.type !== 'Tflush' && m.type !== 'Tclunk')
      return this.#room(signal).then(() => this.rpc(m, signal))
    return new Promise<RMessage>((resolve, reject) => {
      if (this.#gone) return reject(this.#hungUp())
      if (signal?.aborted) return reject(fail('interrupted'))
      const tag = this.#tags.take()
      if (tag === undefined) return reject(fail('tooManyRequests', NOTAG))
      try {
        this.#post(m, tag)
      } catch (error) {
        this.#tags.give(tag)
        return reject(toFsError(error))
      }
      const onabort = signal && (() => this.#flush(tag))
      this.#pending[tag] = { m, resolve, reject, signal, onabort, answered: false }
      if (onabort) this.#watch(signal, onabort)
    }) as Promise<ReplyOf<T>>
  }

  /**
   * Resolves when the server has read what was sent, or when the connection has closed. @throws FsError `interrupted`
   */
  #room(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(fail('interrupted'))
      const done = () => {
        this.#waiting.delete(done)
        if (signal) this.#unwatch(signal, give)
        resolve()
      }
      const give = () => {
        this.#waiting.delete(done)
        reject(fail('interrupted'))
      }
      this.#waiting.add(done)
      if (signal) this.#watch(signal, give)
    })
  }

  /** Closes the connection: requests that were made are still sent, and all outstanding ones reject. */
  close(): void {
    this.#send()
    this.transport.close()
    this.#over(undefined)
  }

  /** Takes a free fid number; for Fid. */
  takeFid(): number {
    const fid = this.#fids.take()
    if (fid === undefined) throw fail('tooManyFids')
    return fid
  }

  /** Returns a fid number that the server no longer knows; for Fid. */
  giveFid(fid: number): void {
    this.#fids.give(fid)
  }

  #post(m: Asked, tag: number): void {
    const parts = packParts(m as TMessage, this.#dialect, tag)
    let length = 0
    for (const part of parts) length += part.length
    if (length > this.#msize) throw fail('badMessage', `${m.type} has ${length} bytes, at most ${this.#msize}`)
    if (this.#trace) this.#tell('-> ', { ...m, tag } as TMessage)
    // one send for all requests of this turn; it runs before any reply can be read
    if (this.#out.length === 0) queueMicrotask(() => this.#send())
    this.#out.push(parts)
  }

  #send(): void {
    if (this.#out.length === 0) return
    const out = this.#out
    this.#out = []
    this.transport.send(out)
  }

  #tell(way: string, m: Message): void {
    const secret = m.type === 'Twrite' && this.#secret.has(m.fid)
    this.#trace?.(way + text(secret ? { ...m, data: new TextEncoder().encode('(a token)') } : m))
  }

  /** Runs `call` when the signal aborts. All requests that share a signal use one listener on it. */
  #watch(signal: AbortSignal, call: () => void): void {
    const known = this.#watched.get(signal)
    if (known) return void known.calls.add(call)
    const calls = new Set([call])
    const listener = () => {
      for (const call of calls) call()
      this.#watched.delete(signal)
    }
    this.#watched.set(signal, { calls, listener })
    signal.addEventListener('abort', listener, { once: true })
  }

  #unwatch(signal: AbortSignal, call: () => void): void {
    const known = this.#watched.get(signal)
    if (!known?.calls.delete(call) || known.calls.size > 0) return
    this.#watched.delete(signal)
    signal.removeEventListener('abort', known.listener)
  }

  #flush(oldtag: number): void {
    if (this.#gone) return
    const old = this.#pending[oldtag]!
    const late = () => this.#broken(`no Rflush within ${RFLUSH_TIMEOUT_MS / 1000} s`)
    const heard = this.#clock.after(RFLUSH_TIMEOUT_MS, late)
    const done = () => {
      heard()
      if (this.#pending[oldtag] !== old) return
      this.#free(oldtag, old)
      if (!old.answered) old.reject(fail('interrupted'))
    }
    this.rpc({ type: 'Tflush', oldtag }).then(done, () => {
      heard()
      // the server does not implement flush: the old request goes on, and its reply frees its tag
      if (old.answered) done()
      else old.onabort = undefined
    })
  }

  #receive(chunk: Uint8Array): void {
    try {
      this.#framer.push(
        chunk,
        bytes => {
          if (this.#gone) return
          this.#reply(this.#version ? unpackVersion(bytes) : unpackReply(bytes, this.#dialect))
        },
        (head, why) => {
          const { message: ename, errno } = toFsError(why)
          if (!this.#gone) this.#reply({ type: 'Rerror', tag: tagOf(head), ename, errno })
        },
      )
      this.#weigh()
    } catch (error) {
      this.#broken(toFsError(error).message)
    }
  }

  /** Counts what waits below the framer. If there is no room for it, disconnects: it has arrived already. */
  #weigh(): void {
    const { unread = 0 } = this.transport
    const more = unread - this.#unread
    if (more === 0 || !this.#holding || this.#gone) return
    if (more > 0 && !this.#holding.owe(more)) {
      const why = fail('hungUp', `${this.transport.name}: no memory for a message of ${unread} bytes`)
      this.#over(why)
      this.transport.destroy(why)
      return
    }
    if (more < 0) this.#holding.shrink(-more)
    this.#unread = unread
  }

  #reply(m: Message): void {
    if (this.#trace) this.#tell('<- ', m)
    const isVersion = m.tag === NOTAG && this.#version !== undefined
    const pending = isVersion ? this.#version! : this.#pending[m.tag]
    if (!pending || pending.answered) throw fail('badMessage', `unexpected ${m.type}: no request has tag ${m.tag}`)
    check(pending.m, m)
    const flushed = pending.onabort !== undefined && pending.signal?.aborted === true
    if (isVersion) this.#version = undefined
    else if (flushed) pending.answered = true
    else this.#free(m.tag, pending)
    if (m.type === 'Rerror' || m.type === 'Rlerror') {
      const error = m.type === 'Rerror' ? received(m.ename, m.errno) : new FsError(errnoString(m.ecode), m.ecode)
      pending.reject(pending.signal?.aborted ? fail('interrupted', undefined, error) : error)
    } else {
      if (m.type === 'Rstat') this.ours ??= m.stat.type === OUR_TYPE
      pending.resolve(m as RMessage)
    }
  }

  #free(tag: number, pending: Pending): void {
    this.#pending[tag] = undefined
    this.#tags.give(tag)
    if (pending.onabort) this.#unwatch(pending.signal!, pending.onabort)
  }

  /** Disconnects because the server broke the protocol: nothing that it sends from here on can be trusted. */
  #broken(how: string): void {
    const reason = fail('hungUp', `${this.transport.name}: the server broke the protocol: ${how}`)
    this.#over(reason)
    this.transport.destroy(reason)
  }

  #hungUp(): FsError {
    return fail('hungUp', this.transport.name, this.#gone)
  }

  #over(reason: Error | undefined): void {
    if (this.#gone) return
    this.#gone = reason instanceof FsError ? reason : fail('hungUp', reason?.message ?? this.transport.name, reason)
    this.#out = []
    this.#holding?.free()
    const outstanding = this.#version ? [this.#version, ...this.#pending] : this.#pending
    this.#pending = []
    for (const pending of outstanding) {
      if (!pending) continue
      if (pending.onabort) this.#unwatch(pending.signal!, pending.onabort)
      if (!pending.answered) pending.reject(this.#gone)
    }
    this.#drained()
    this.#closed(reason)
  }
}
