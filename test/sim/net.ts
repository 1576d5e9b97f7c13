/** The network between simulated processes, and what can go wrong with it. */
import { fail } from '../../api/errors.js'
import { CLOSE_TIMEOUT_MS, PING_MS } from '../../fs/base/limits.js'
import type { Transport } from '../../fs/transport.js'
import type { Process, Timeline } from './clock.js'
import type { Random } from './random.js'

/** Bytes that may be on their way, or unread at the receiver. Beyond that, bytes wait at the sender. */
const WINDOW = 128 * 1024
/** Most bytes of one delivery: fewer than a read of Node's has, after which Node waits a turn for more. */
const CHUNK = 60 * 1024
/** The probability that a delivery is cut in two. */
const CUT = 0.03

/** How long a message takes between two machines, and how much that varies. */
export interface Way {
  delay_ms: number
  jitter_ms: number
}

/** The default ways: between machines of one room, and within one machine. */
const NEAR: Way = { delay_ms: 0.3, jitter_ms: 0.7 }
const WITHIN: Way = { delay_ms: 0.05, jitter_ms: 0.1 }

const reset = () => new Error('read ECONNRESET')

/** Messages that arrive in the order in which they were sent. */
class Line {
  last = 0
  readonly waiting: (() => void)[] = []
}

interface Listener {
  readonly process: Process
  readonly accept: (transport: Transport) => void
}

/**
 * Its connections deliver in order and with back pressure, like TCP's. The ways between machines take time, can be cut,
 * and can hold everything back until they heal, as when packets are lost and sent again.
 */
export class Net {
  readonly connections = new Set<Connection>()
  readonly #listeners = new Map<string, Listener>()
  /** By `from>to`, the messages that a partition holds back. */
  readonly #held = new Map<string, (() => void)[]>()
  /** By `from>to`, the ways that are set; all others are the default. */
  readonly ways = new Map<string, Way>()

  constructor(
    readonly time: Timeline,
    readonly random: Random,
  ) {}

  /** Gives connections to this name to a process. @returns a function that ends this */
  listen(process: Process, name: string, accept: (transport: Transport) => void): () => void {
    const listener = { process, accept }
    this.#listeners.set(name, listener)
    const end = () => {
      if (this.#listeners.get(name) === listener) this.#listeners.delete(name)
    }
    process.onDeath.push(end)
    return end
  }

  /** Connects a process to a name. @throws FsError `cannot reach NAME` if nobody listens; the signal's reason */
  dial(process: Process, name: string, signal?: AbortSignal): Promise<Transport> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      let waiting = true
      const abort = () => {
        waiting = false
        reject(signal!.reason)
      }
      signal?.addEventListener('abort', abort, { once: true })
      const answered = (by: Process | undefined, answer: () => void) => {
        const arrive = () => {
          process.arrive(() => {
            signal?.removeEventListener('abort', abort)
            answer()
          })
        }
        if (by) this.carry(by.machine, process.machine, new Line(), arrive)
        else this.time.at(this.time.now + 1, arrive)
      }
      const listener = this.#listeners.get(name)
      const knock = () => {
        const there = this.#listeners.get(name)
        if (!there) return answered(listener?.process, () => waiting && reject(fail('unreachable', name)))
        // the system accepts connections for a process that is paused
        const connection = new Connection(this, process, there.process, name)
        connection.accepted.process.arrive(() => there.accept(connection.accepted))
        answered(there.process, () => {
          if (connection.dialled.closed) reject(reset())
          else if (waiting) resolve(connection.dialled)
          else connection.dialled.destroy()
        })
      }
      this.carry(process.machine, listener?.process.machine ?? process.machine, new Line(), knock)
    })
  }

  /** Lets nothing get from one machine to another. Neither end notices. */
  partition(from: string, to: string): void {
    const way = `${from}>${to}`
    if (!this.#held.has(way)) this.#held.set(way, [])
  }

  /** Ends a partition: what was sent meanwhile arrives after all. */
  heal(from: string, to: string): void {
    const way = `${from}>${to}`
    const held = this.#held.get(way) ?? []
    this.#held.delete(way)
    for (const arrive of held) arrive()
  }

  healAll(): void {
    for (const way of [...this.#held.keys()]) {
      const [from, to] = way.split('>') as [string, string]
      this.heal(from, to)
    }
    this.ways.clear()
    // a cut that is still due would strike users that come after the faults
    for (const { ends } of this.connections) for (const end of ends) end.cutAfter = Number.POSITIVE_INFINITY
  }

  /** Sends a message from one machine to another. @param line messages sent earlier on the same line arrive earlier */
  carry(from: string, to: string, line: Line, arrive: () => void): void {
    line.waiting.push(arrive)
    this.#cross(from, to, line)
  }

  #cross(from: string, to: string, line: Line): void {
    const way = `${from}>${to}`
    const { delay_ms, jitter_ms } = this.ways.get(way) ?? (from === to ? WITHIN : NEAR)
    line.last = Math.max(line.last, this.time.now + delay_ms + jitter_ms * this.random.next())
    this.time.at(line.last, () => {
      const held = this.#held.get(way)
      if (held) held.push(() => this.#cross(from, to, line))
      else line.waiting.shift()!()
    })
  }
}

/** One connection, and the ways to break it. */
export class Connection {
  readonly dialled: End
  readonly accepted: End
  /** Whether nothing crosses it any more. */
  lost = false
  /** Whether a sender is not told that the connection is lost. */
  readonly silent: boolean

  constructor(
    readonly net: Net,
    dialler: Process,
    listener: Process,
    name: string,
  ) {
    this.dialled = new End(this, dialler, `sim!${name}`)
    this.accepted = new End(this, listener, `sim!${dialler.name}`)
    this.dialled.peer = this.accepted
    this.accepted.peer = this.dialled
    this.silent = net.random.chance(0.5)
    // connections between machines are WebSockets
    if (dialler.machine !== listener.machine) for (const end of this.ends) end.ping()
    net.connections.add(this)
  }

  get ends(): readonly [End, End] {
    return [this.dialled, this.accepted]
  }

  /** Tells both ends that the connection is gone. Bytes on their way are lost. */
  cut(): void {
    this.lost = true
    for (const end of this.ends) end.process.arrive(() => end.over(reset()))
  }

  /** Tells one end that the connection has ended, and the other nothing. */
  halfClose(told: End): void {
    this.lost = true
    told.process.arrive(() => told.over())
  }

  /** Cuts the connection when this many more bytes have arrived at an end, even in the middle of a message. */
  cutAfter(end: End, bytes: number): void {
    end.cutAfter = bytes
  }
}

/** One end of a connection. */
export class End implements Transport {
  onclose: (reason?: Error) => void = () => {}
  ondrain: () => void = () => {}
  peer!: End
  queued = 0
  cutAfter = Number.POSITIVE_INFINITY
  #ondata: ((chunk: Uint8Array) => void) | undefined
  /** Bytes given to `send` that are not on their way yet. */
  #out: Uint8Array[] = []
  /** How many bytes are on their way to the peer, or unread there. */
  #flying = 0
  readonly #line = new Line()
  /** Bytes that have arrived and are not read yet. */
  #inbox: Uint8Array[] = []
  #scheduled = false
  #paused = false
  /** Whether bytes had to wait for room: the sender must be told when there is some. */
  #held = false
  #finished = false
  /** Whether `close` was called: queued bytes are still sent. */
  #ending = false
  /** Whether the peer's end has arrived, after everything else from the peer. */
  #ended = false
  #closed = false

  constructor(
    readonly connection: Connection,
    readonly process: Process,
    readonly name: string,
  ) {
    process.onDeath.push(() => this.#died())
  }

  get ondata(): (chunk: Uint8Array) => void {
    return this.#ondata ?? (() => {})
  }

  set ondata(f: (chunk: Uint8Array) => void) {
    this.#ondata = f
    this.#schedule()
  }

  get closed(): boolean {
    return this.#closed
  }

  send(messages: Uint8Array[][]): void {
    if (this.#ending || this.#closed || !this.process.alive) return
    let length = 0
    for (const parts of messages) for (const part of parts) length += part.length
    // a copy, because the parts may be views of buffers that change later
    const whole = new Uint8Array(length)
    let at = 0
    for (const parts of messages)
      for (const part of parts) {
        whole.set(part, at)
        at += part.length
      }
    this.#out.push(whole)
    this.queued += length
    this.#flow()
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    this.#schedule()
  }

  close(): void {
    if (this.#closed || this.#ending) return
    this.#ending = true
    this.#ondata = undefined
    this.#paused = false
    this.#flow()
    this.#schedule()
    // as a socket does when the peer never reads the last bytes
    this.process.after(CLOSE_TIMEOUT_MS, () => this.destroy())
  }

  destroy(reason?: Error): void {
    if (this.#closed) return
    this.#leave(this.connection.net.random.chance(0.5))
    this.connection.net.time.at(this.connection.net.time.now, () => this.process.arrive(() => this.onclose(reason)))
  }

  /** Pings as a WebSocket does: gives up the connection when no pong has come by the time of the next ping. */
  ping(): void {
    let heard = true
    const again = () => {
      if (this.#closed) return
      if (!heard) return this.over(new Error('the other end does not answer'))
      heard = false
      this.#carry(0, () => {
        this.peer.process.arrive(() => {
          this.peer.#carry(0, () => {
            this.process.arrive(() => {
              heard = true
            })
          })
        })
      })
      this.process.after(PING_MS, again)
    }
    this.process.after(PING_MS, again)
  }

  /** The connection is gone. */
  over(reason?: Error): void {
    if (this.#closed) return
    this.#leave()
    this.onclose(reason)
  }

  #died(): void {
    if (!this.#closed) this.#leave(this.connection.net.random.chance(0.5))
  }

  /**
   * Discards the bytes that this end holds, and lets the peer know that it has left.
   * @param lose whether the peer loses the bytes that it has not read, as happens when a system closes a connection
   *   with unread bytes
   */
  #leave(lose = false): void {
    const { net } = this.connection
    this.#closed = true
    this.#out = []
    this.#inbox = []
    this.queued = 0
    this.#carry(0, () => {
      if (lose) this.peer.process.arrive(() => this.peer.over(reset()))
      else this.peer.#end()
    })
    if (this.peer.#closed) net.connections.delete(this.connection)
  }

  #end(): void {
    this.#ended = true
    this.#schedule()
  }

  /** Sends something to the peer. It arrives after everything that was sent before. */
  #carry(bytes: number, arrive: () => void): void {
    const { net } = this.connection
    const peer = this.peer
    if (this.connection.lost) {
      // a system that no longer knows the connection answers so, if the bytes reach it
      if (bytes > 0 && !this.connection.silent)
        net.time.at(net.time.now + NEAR.delay_ms, () => this.process.arrive(() => this.over(reset())))
      return
    }
    net.carry(this.process.machine, peer.process.machine, this.#line, () => {
      if (this.connection.lost || peer.#closed) return
      net.time.mix(bytes)
      arrive()
    })
  }

  /** Sends as many bytes as the window has room for. */
  #flow(): void {
    while (this.#out.length > 0 && this.#flying < WINDOW) {
      const first = this.#out[0]!
      const chunk = first.subarray(0, Math.min(CHUNK, WINDOW - this.#flying))
      if (chunk.length === first.length) this.#out.shift()
      else this.#out[0] = first.subarray(chunk.length)
      this.queued -= chunk.length
      this.#flying += chunk.length
      this.#carry(chunk.length, () => this.peer.#arrived(chunk))
    }
    if (this.#out.length > 0) this.#held = true
    else if (this.#ending) this.#finish()
    else if (this.#held) {
      this.#held = false
      const { time } = this.connection.net
      time.at(time.now, () => this.process.arrive(() => this.ondrain()))
    }
  }

  /** Tells the peer that nothing more comes, once. */
  #finish(): void {
    if (this.#finished) return
    this.#finished = true
    this.#carry(0, () => this.peer.#end())
  }

  #arrived(chunk: Uint8Array): void {
    const whole = chunk.length < this.cutAfter
    const taken = whole ? chunk : chunk.subarray(0, this.cutAfter)
    this.cutAfter -= taken.length
    if (taken.length > 0) this.#inbox.push(taken)
    this.#schedule()
    if (!whole) this.connection.net.time.at(this.connection.net.time.now, () => this.connection.cut())
  }

  #schedule(): void {
    if (this.#scheduled || this.#closed) return
    if (this.#inbox.length === 0 && !this.#ended) return
    this.#scheduled = true
    const { time } = this.connection.net
    time.at(time.now, () =>
      this.process.arrive(() => {
        this.#scheduled = false
        this.#deliver()
      }),
    )
  }

  #deliver(): void {
    if (this.#closed || this.#paused || (!this.#ondata && !this.#ending)) return
    if (this.#inbox.length === 0) {
      if (this.#ended) this.over()
      return
    }
    const chunk = this.#take()
    this.peer.#read(chunk.length)
    this.#ondata?.(chunk)
    this.#schedule()
  }

  /** The bytes that one read of a socket gives: all that have arrived, or some of them. */
  #take(): Uint8Array {
    const { random } = this.connection.net
    let chunk = this.#inbox.shift()!
    while (this.#inbox.length > 0 && chunk.length + this.#inbox[0]!.length <= CHUNK) {
      const next = this.#inbox.shift()!
      const both = new Uint8Array(chunk.length + next.length)
      both.set(chunk)
      both.set(next, chunk.length)
      chunk = both
    }
    if (chunk.length > 1 && random.chance(CUT)) {
      const at = random.whole(1, chunk.length - 1)
      this.#inbox.unshift(chunk.subarray(at))
      chunk = chunk.subarray(0, at)
    }
    return chunk
  }

  /** The peer has read this many bytes: there is room for more. */
  #read(bytes: number): void {
    this.#flying -= bytes
    if (this.#out.length > 0) this.#flow()
  }
}
