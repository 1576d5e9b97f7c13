import { OUR_TYPE } from './attributes.js'
import { Fid } from './client-fid.js'
import { type Clock, systemClock } from './clock.js'
import { errnoString, FsError, fail, received, toFsError } from './errors.js'
import { Framer } from './framer.js'
import { DEFAULT_MSIZE, MAX_MSIZE, MAX_QUEUED, RFLUSH_TIMEOUT_MS } from './limits.js'
import {
  type Message,
  type Msg,
  messages,
  packParts,
  type ReplyOf,
  type RMessage,
  replyTo,
  type TMessage,
  unpack,
} from './message.js'
import { Numbers } from './numbers.js'
import { type Dialect, NOFID, NONUNAME, NOTAG } from './protocol.js'
import { text } from './text.js'
import type { Transport } from './transport.js'

export { Fid } from './client-fid.js'

export interface ClientOptions {
  /**
   * Asked for in Tversion; the server may answer with another that we speak. Unless given it is 9P2000.u, then 9P2000.L, then plain
   * 9P2000, until the server takes one.
   */
  dialect?: Dialect
  /** Largest message in bytes, DEFAULT_MSIZE unless given; the server may answer with less. */
  msize?: number
  /** Gets each message as one line of text that `parse` reads, behind `-> ` (sent) or `<- ` (received). */
  trace?: (line: string) => void
  /** What deadlines are measured by; the machine's own unless given. */
  clock?: Clock
}

/** Who attaches, and to what. */
export interface Attach {
  uname: string
  /** The user's number (.u and .L); by itself it names a user where `uname` is empty. */
  n_uname?: number
  /** The tree wanted; empty for the root (namespace.md, Reaching it). */
  aname?: string
  /** Where the server asks for one: goes through Tauth. */
  token?: string
}

const DIALECTS: readonly Dialect[] = ['9P2000.u', '9P2000.L', '9P2000']

/**
 * The most of plain 9P2000. Inferno agrees to more and then counts in 16 bits: what it lists beyond 65,536 bytes is garbage. Servers
 * that speak a later dialect are younger than such counts.
 */
const MAX_PLAIN_MSIZE = 65535

/** No server that can be worked with offers less: a stat must fit into a message. */
const MIN_SERVER_MSIZE = 256

/** What there is instead of an afid where no token was given. */
const NO_AFID: { afid: number; refused?: FsError | undefined } = { afid: NOFID }

/** A request as it was asked: its tag is where it stands in the table, and on the wire. */
type Asked = Omit<TMessage, 'tag'>

/** A request that has not been answered, or whose tag waits for its Rflush. */
interface Pending {
  m: Asked
  resolve: (reply: RMessage) => void
  reject: (error: Error) => void
  signal: AbortSignal | undefined
  onabort: (() => void) | undefined
  /** Answered, but flushed: its tag is not free before Rflush (flush(5)). */
  answered: boolean
}

/**
 * The client's end of a connection: many requests at once, each with a tag of its own. All requests of one turn leave in
 * one write. It buffers nothing but replies it asked for, and a server that breaks the protocol loses the connection.
 */
export class Client {
  /** Resolves when the connection is gone: with the reason, or undefined for an ordinary end. Never rejects. */
  readonly closed: Promise<Error | undefined>
  /** Whether the server is one of ours, by the first stat that it sent; undefined before that. */
  ours: boolean | undefined
  #dialect: Dialect
  #msize: number
  #framer = new Framer()
  #pending: (Pending | undefined)[] = []
  /** Requests that wait until the server has read those before them. */
  readonly #waiting = new Set<() => void>()
  /** By signal, what its requests in flight do when it aborts. */
  readonly #watched = new Map<AbortSignal, { calls: Set<() => void>; listener: () => void }>()
  #version: Pending | undefined
  #tags = new Numbers(NOTAG - 1)
  #fids = new Numbers(NOFID - 1)
  #out: Uint8Array[][] = []
  #gone: FsError | undefined
  #closed!: (reason: Error | undefined) => void
  #trace: ((line: string) => void) | undefined
  readonly #clock: Clock
  /** Fids that take a token: what is written to them is in no trace. */
  #secret = new Set<number>()

  private constructor(
    readonly transport: Transport,
    options: ClientOptions,
  ) {
    this.#dialect = options.dialect ?? DIALECTS[0]!
    this.#msize = Math.min(options.msize ?? DEFAULT_MSIZE, MAX_MSIZE)
    this.#trace = options.trace
    this.#clock = options.clock ?? systemClock
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
   * Agrees on dialect and msize over a fresh connection; it is resolved when the server has answered Tversion.
   * @throws FsError when there is no common dialect, or the connection fails; the transport is closed then
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

  /** Bytes of the largest message on this connection. */
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
      // diod's way to say `unknown`
      if (this.#gone || others.length === 0) throw error
    })
    const { msize, version } = (reply ?? { version: 'unknown' }) as Msg<'Rversion'>
    const spoken = DIALECTS.find(known => known === version)
    // version(5): nothing was agreed on, and another Tversion may come
    if (!spoken && others.length > 0) return this.#agree(others)
    if (!spoken)
      throw fail(
        'notSupported',
        `we speak ${DIALECTS.join(', ')}; ${this.transport.name} answered ${JSON.stringify(version.slice(0, 80))}`,
      )
    if (msize > asked.msize) throw fail('badMessage', `Rversion msize ${msize}: asked for ${asked.msize}`)
    if (msize < MIN_SERVER_MSIZE) throw fail('badMessage', `Rversion msize ${msize}: at least ${MIN_SERVER_MSIZE}`)
    this.#dialect = spoken
    this.#msize = msize
    if (spoken === '9P2000' && msize > MAX_PLAIN_MSIZE) {
      this.#msize = MAX_PLAIN_MSIZE
      return this.#agree([spoken])
    }
    this.#framer.most = msize
  }

  /**
   * Attaches a user to a tree: attach(5), before it auth(5) if there is a token and the server wants one.
   * @returns the fid of the tree's root
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
      throw new FsError(`${error.message}; before it, to Tauth: ${refused.message}`, error.errno, { cause: error })
    } finally {
      if (afid !== NOFID) this.#clunkAuth(afid)
    }
    if (signal?.aborted) {
      // attached all the same, before the flush got there
      root.clunk().catch(() => {})
      throw fail('interrupted')
    }
    return root
  }

  /**
   * Makes an afid and writes the token to it. A server that refuses to make one wants none: each has words of its own for that
   * (`ramfs: authentication not required`, ENOENT, `unknown message`), and whether it lets us in, its Rattach says.
   * @returns NOFID then, with what the server said, where that is not our own word for it
   * @throws FsError where the token is refused
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
   * Sends one request and waits for its reply. An abort sends Tflush and waits for Rflush (flush(5)): a reply that comes
   * first still counts, for the server has done what it says; otherwise it rejects `interrupted`.
   * @throws FsError what the server answered, `interrupted`, or `i/o on hungup channel`
   */
  rpc<T extends TMessage['type']>(m: { type: T } & Omit<Msg<T>, 'tag'>, signal?: AbortSignal): Promise<ReplyOf<T>> {
    // a server that reads nothing must not have us keep what is asked of it: what was given up cannot be taken back from the queue
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

  /** Resolves when the server has read what was sent, or is gone. @throws FsError `interrupted` */
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

  /** Ends the connection: requests sent still leave, everything outstanding rejects. */
  close(): void {
    this.#send()
    this.transport.close()
    this.#over(undefined)
  }

  /** A fid number that is free; for Fid. */
  takeFid(): number {
    const fid = this.#fids.take()
    if (fid === undefined) throw fail('tooManyFids')
    return fid
  }

  /** Takes back a fid number that the server knows no more; for Fid. */
  giveFid(fid: number): void {
    this.#fids.give(fid)
  }

  #post(m: Asked, tag: number): void {
    const parts = packParts(m as TMessage, this.#dialect, tag)
    let length = 0
    for (const part of parts) length += part.length
    if (length > this.#msize) throw fail('badMessage', `${m.type} of ${length} bytes: at most ${this.#msize}`)
    if (this.#trace) this.#tell('-> ', { ...m, tag } as TMessage)
    // one send for all that is asked in this turn; it runs before any reply can be read
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

  /** Calls when the signal aborts. However many requests share a signal, they are one listener of it. */
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
      // a server that cannot flush: the old request goes on, and its reply frees its tag
      if (old.answered) done()
      else old.onabort = undefined
    })
  }

  #receive(chunk: Uint8Array): void {
    try {
      this.#framer.push(chunk, bytes => {
        if (this.#gone) return
        this.#reply(this.#version ? unpackVersion(bytes) : unpackReply(bytes, this.#dialect))
      })
    } catch (error) {
      this.#broken(toFsError(error).message)
    }
  }

  #reply(m: Message): void {
    if (this.#trace) this.#tell('<- ', m)
    const isVersion = m.tag === NOTAG && this.#version !== undefined
    const pending = isVersion ? this.#version! : this.#pending[m.tag]
    if (!pending || pending.answered) throw fail('badMessage', `${m.type} with tag ${m.tag}, which asked nothing`)
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

  /** The server broke the protocol: what it says from here on cannot be trusted. */
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

/**
 * The answer to a Tversion. What it is in is not agreed on yet: a server that speaks 9P2000.L alone refuses others by Rlerror, and an Rerror
 * comes with an errno (9P2000.u) or without, whatever was asked for.
 */
function unpackVersion(bytes: Uint8Array): Message {
  if (bytes[4] === messages.Rlerror.type || isNumber(bytes)) return unpackReply(bytes, '9P2000.L')
  try {
    return unpack(bytes, '9P2000')
  } catch (error) {
    if (bytes[4] !== messages.Rerror.type) throw error
    return unpack(bytes, '9P2000.u')
  }
}

/** Whether an Rerror has a number where a text should be. */
const isNumber = (bytes: Uint8Array) => bytes[4] === messages.Rerror.type && bytes.length === 11

/** A reply. nfs-ganesha (seen: 4.3) sends the number of an Rlerror under the type of an Rerror, which Linux' own client takes for one. */
function unpackReply(bytes: Uint8Array, dialect: Dialect): Message {
  if (dialect !== '9P2000.L' || !isNumber(bytes)) return unpack(bytes, dialect)
  const meant = bytes.slice()
  meant[4] = messages.Rlerror.type
  return unpack(meant, dialect)
}

/** Whether a reply can be one to this request; a server that answers otherwise has lost its place. */
function check(asked: Asked, m: Message): void {
  if (m.type !== replyTo(asked.type)) {
    if (m.type === 'Rerror' || m.type === 'Rlerror') return
    throw fail('badMessage', `${m.type} in answer to ${asked.type}`)
  }
  if (m.type === 'Rread' || m.type === 'Rreaddir')
    bound(asked, m, 'bytes', m.data.length, (asked as Msg<'Tread'>).count)
  else if (m.type === 'Rwrite') bound(asked, m, 'bytes', m.count, (asked as Msg<'Twrite'>).data.length)
  else if (m.type === 'Rwalk') bound(asked, m, 'qids', m.wqid.length, (asked as Msg<'Twalk'>).wname.length)
}

function bound(asked: Asked, m: Message, what: string, n: number, most: number): void {
  if (n > most) throw fail('badMessage', `${m.type} has ${n} ${what}: ${asked.type} asked for ${most}`)
}
