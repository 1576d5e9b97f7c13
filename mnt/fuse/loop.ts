/** Reads the kernel's FUSE requests from the device in order, has the driver handle them, and writes the replies. */
import { fail, toFsError } from '../../fs/base/errors.js'
import type { Driver } from './driver.js'
import {
  answered,
  decode,
  decodeRequest,
  encodeHeader,
  encodeReply,
  type Fields,
  forgetOne,
  type Header,
  OUT_HEADER,
  READ_ROOM,
  REPLY_ROOM,
  type Reply,
  type Request,
  sizeOf,
} from './protocol.js'
import { FuseRequest } from './request.js'

/** How often deadlines are checked, in ms. */
const SWEEP_MS = 1000
/** How long an interrupted program waits for a server that does not answer its Tflush, in ms. */
const INTERRUPT_MS = 1000
/** The kernel rejects a reply whose errno is this or higher, and keeps waiting. */
const MAX_ERRNO = 512
/** Interrupts remembered for requests that have not arrived yet. */
const MAX_EARLY = 64

/** Errors of a read from the device after which it is repeated. */
const sameAgain = new Set(['EINTR', 'EAGAIN', 'ENOENT'])
/** Errors of a read from the device that mean the file system is no longer mounted. */
const unmounted = new Set(['ENODEV', 'ECONNABORTED', 'EBADF'])

/** The source of requests and the destination of replies: /dev/fuse, or a test. */
export interface Channel {
  /** Reads one request into the buffer. */
  read(buffer: Uint8Array, done: (error: NodeJS.ErrnoException | null, length: number) => void): void
  /** Writes one reply, whole. @throws the device's error if it does not take the reply */
  write(parts: Uint8Array[]): void
}

/**
 * Reads requests from the device and answers them. It starts each request before it looks at the next, so the 9P
 * messages leave in the order of the system calls: in `echo p > data; cat data` the Tclunk of the close goes before the
 * Topen of the open. One read always waits in libuv's pool, into the buffer that is not in use; nothing else ever
 * blocks.
 */
export class Loop {
  #flights = new Map<number, FuseRequest>()
  #early = new Set<number>()
  #small = new DataView(new ArrayBuffer(REPLY_ROOM))
  #sweep: NodeJS.Timeout
  #stopping = false
  #done!: (error?: Error) => void
  /**
   * Resolves when there is nothing left to serve: the mount was unmounted, by this process or another, or the kernel
   * aborted the connection. Rejects if the device fails in another way.
   */
  readonly done: Promise<void>
  ended = false

  constructor(
    readonly channel: Channel,
    readonly driver: Driver,
    readonly trace?: (line: string) => void,
  ) {
    this.done = new Promise((resolve, reject) => {
      this.#done = error => {
        clearInterval(this.#sweep)
        this.ended = true
        if (error) reject(error)
        else resolve()
      }
    })
    this.#sweep = setInterval(() => this.#late(), SWEEP_MS)
    const room = driver.maxWrite + READ_ROOM
    this.#read(new Uint8Array(room), new Uint8Array(room))
  }

  /** Fails the requests in progress and all later ones, so that no program delays the unmounting. */
  stop(): void {
    this.#stopping = true
    for (const flight of this.#flights.values()) this.#giveUp(flight, fail('shuttingDown').errno)
  }

  #read(buffer: Uint8Array, other: Uint8Array): void {
    this.channel.read(buffer, (error, n) => {
      if (error) {
        if (sameAgain.has(error.code!)) this.#read(buffer, other)
        else this.#done(unmounted.has(error.code!) ? undefined : error)
        return
      }
      this.#read(other, buffer)
      this.#receive(buffer.subarray(0, n))
    })
  }

  /** Starts one request, and answers when it is done. `bytes` are reused after this call returns. */
  #receive(bytes: Uint8Array): void {
    const request = decodeRequest(bytes)
    const { unique } = request.header
    this.trace?.(line(request))
    if (!request.op) return this.#error(unique, fail('noSuchCall').errno)
    if (request.op === 'INTERRUPT') return this.#interrupt(request.in.unique)
    if (request.op === 'FORGET') return this.driver.forget(request.header.nodeid, request.in.nlookup)
    if (request.op === 'BATCH_FORGET') return this.#forget(request.in.count, request.in.data)
    const flight = new FuseRequest(request.op, unique, performance.now())
    if (this.#early.delete(unique)) flight.abort()
    if (this.#stopping && !this.driver.local(request)) return this.#error(unique, fail('shuttingDown').errno)
    try {
      const answer = this.driver.handle(request, flight)
      if (!(answer instanceof Promise)) return this.#answer(flight, answer)
      this.#flights.set(unique, flight)
      answer.then(
        value => this.#answer(flight, value),
        error => this.#giveUp(flight, toFsError(error).errno, error),
      )
    } catch (error) {
      this.#giveUp(flight, toFsError(error).errno, error)
    }
  }

  #answer(flight: FuseRequest, value: undefined | Uint8Array | Reply<Fields>): void {
    this.#flights.delete(flight.unique)
    if (flight.answered) return
    flight.answered = true
    if (value instanceof Uint8Array) {
      encodeHeader(flight.unique, 0, value.length, this.#small)
      this.#write([new Uint8Array(this.#small.buffer, 0, OUT_HEADER), value], flight.unique)
    } else {
      const length = encodeReply(flight.op, flight.unique, value ?? {}, this.#small)
      this.#write([new Uint8Array(this.#small.buffer, 0, length)], flight.unique)
    }
  }

  /** Answers with an errno now. The work may go on, but its result is not sent. */
  #giveUp(flight: FuseRequest, errno: number, why?: unknown): void {
    this.#flights.delete(flight.unique)
    if (flight.answered) return
    flight.answered = true
    this.trace?.(`# ${flight.op} ${flight.unique} errno ${errno}${why instanceof Error ? ` ${why.message}` : ''}`)
    this.#error(flight.unique, errno)
  }

  #error(unique: number, errno: number): void {
    // a server may send any number as errno
    const known = errno > 0 && errno < MAX_ERRNO ? errno : fail('io').errno
    encodeHeader(unique, known, 0, this.#small)
    this.#write([new Uint8Array(this.#small.buffer, 0, OUT_HEADER)], unique)
  }

  #write(parts: Uint8Array[], unique: number): void {
    try {
      this.channel.write(parts)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      // ENOENT: the kernel no longer waits for this reply. EINVAL: it rejects the reply, and gets EIO in its place.
      this.trace?.(`# reply ${unique}: ${code}`)
      if (code === 'EINVAL' && (parts.length > 1 || parts[0]!.length > OUT_HEADER))
        this.#error(unique, fail('io').errno)
    }
  }

  #interrupt(unique: number): void {
    const flight = this.#flights.get(unique)
    if (!flight) {
      // the request is answered already or, with more than one reader, has not arrived yet
      this.#early.add(unique)
      if (this.#early.size > MAX_EARLY) this.#early.delete(this.#early.values().next().value!)
      return
    }
    flight.abort()
    setTimeout(() => this.#giveUp(flight, fail('interrupted').errno), INTERRUPT_MS).unref()
  }

  #forget(count: number, bytes: Uint8Array): void {
    for (let i = 0, at = 0; i < count && at < bytes.length; i++, at += sizeOf(forgetOne)) {
      const one = decode(forgetOne, bytes, at)
      this.driver.forget(one.nodeid, one.nlookup)
    }
  }

  #late(): void {
    const now = performance.now()
    for (const flight of this.#flights.values()) {
      if (flight.deadline > now) continue
      this.#giveUp(flight, fail('io').errno, new Error('no answer from the server'))
      flight.abort()
    }
  }
}

/** Formats a request as one line of a trace. */
function line(request: { op: undefined; header: Header } | Request): string {
  const { opcode, unique, nodeid, uid } = request.header
  let out = `# ${request.op ?? `operation ${opcode}`} ${unique} node ${nodeid} uid ${uid}`
  if (request.op && answered(request.op))
    for (const [name, value] of Object.entries(request.in))
      if (name !== 'padding') out += ` ${name} ${value instanceof Uint8Array ? `[${value.length}]` : value}`
  return out
}
