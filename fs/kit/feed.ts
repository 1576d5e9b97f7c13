import { systemClock } from '../clock.js'
import { type File, newQid, type Opened, type Owner } from '../file.js'
import type { Holding } from '../holding.js'
import type { Maybe } from '../maybe.js'
import { record, type Value } from '../quote.js'
import { now, slice } from './content.js'
import { Readers } from './readers.js'

/** What an open begins with, and how far a reader may fall behind before he is told how much he lost. */
const BEGIN = 100
const KEEP = 10_000
/** Characters of one value: what a peer gives as its reason may be as long as a message, and 20,000 lines of that are kept. */
const MAX_VALUE = 1_000
/** How far a reader may seek back, in bytes: what shells and head(1) read ahead and give back, with room. */
const BACK = 64 * 1024

const nothing = new Uint8Array(0)
const encoder = new TextEncoder()

/** The last bytes of two pieces together, up to BACK. */
function tail(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(a.length + b.length)
  both.set(a)
  both.set(b, a.length)
  return both.slice(-BACK)
}

function bounded(attrs: Record<string, Value | undefined>): Record<string, Value | undefined> {
  const out = { ...attrs }
  for (const [name, value] of Object.entries(out))
    if (typeof value === 'string' && value.length > MAX_VALUE) out[name] = `${value.slice(0, MAX_VALUE)}…`
  return out
}

/**
 * Lines as they happen, numbered without gaps, as two files. The log has them with its true length, which grows, and ends where
 * they end: what tail(1), less(1) and grep(1) expect. Each open of the stream begins with the newest 100 lines and then waits; a
 * reader that falls 10,000 behind reads one line `lost=N` and goes on.
 *
 * The log is cut as a log that logrotate(8) cuts: at 20,000 lines it begins again with the newest 100, and `tail -f` goes on.
 */
export class Feed {
  #lines: string[] = []
  /** The number of the first line kept. */
  #first = 1
  /** The log's content, in the first `#bytes` of a buffer. */
  #log = nothing
  #bytes = 0
  #time = now()
  readonly #readers = new Readers()

  /** @param told gets each line as it is added, and of what kind it is */
  constructor(
    readonly clock = systemClock,
    readonly told: (line: string, kind: string) => void = () => undefined,
  ) {}

  /** Adds a line: `seq=… time=… kind=…` and the attributes. */
  add(kind: string, attrs: Record<string, Value | undefined> = {}): void {
    const seq = this.#first + this.#lines.length
    const line = record('', { seq, time: new Date(this.clock.date()).toISOString(), kind, ...bounded(attrs) })
    this.#lines.push(`${line}\n`)
    this.#time = Math.floor(this.clock.date() / 1000)
    if (this.#lines.length >= 2 * KEEP) {
      this.#lines.splice(0, KEEP)
      this.#first += KEEP
      this.#log = nothing
      this.#bytes = 0
      this.#append(this.#lines.slice(-BEGIN).join(''))
    } else this.#append(`${line}\n`)
    this.#readers.wake()
    this.told(line, kind)
  }

  get #end(): number {
    return this.#first + this.#lines.length
  }

  #append(text: string): void {
    const more = encoder.encode(text)
    const length = this.#bytes + more.length
    if (length > this.#log.length) {
      // readers hold views on the old buffer, which stays as it is
      const larger = new Uint8Array(Math.max(length, 4096, this.#log.length * 2))
      larger.set(this.#log.subarray(0, this.#bytes))
      this.#log = larger
    }
    this.#log.set(more, this.#bytes)
    this.#bytes = length
  }

  /** The log: at its end a read is empty. */
  file(owner: Owner, mode = 0o440): File {
    const qid = newQid()
    return {
      qid,
      attributes: () => ({ mode, owner, length: this.#bytes, mtime: this.#time, atime: this.#time }),
      open: () => ({ read: (offset, count) => slice(this.#log.subarray(0, this.#bytes), offset, count) }),
    }
  }

  /** The stream: at its end a read waits. In no listing, since a program that reads all it finds would never come to an end. */
  stream(owner: Owner, mode = 0o440): File {
    const qid = newQid()
    return {
      qid,
      unlisted: true,
      attributes: () => ({ mode, owner, length: 0, mtime: this.#time, atime: this.#time }),
      open: () => this.#open(),
    }
  }

  /** The lines from that number on, of so many bytes or a line more, and the number behind them. */
  #from(next: number, count: number): { bytes: Uint8Array; next: number } {
    const behind = Math.max(0, this.#end - KEEP - next)
    let lines = behind > 0 ? `lost=${behind}\n` : ''
    let at = next + behind
    while (at < this.#end && lines.length < count) lines += this.#lines[at++ - this.#first]
    return { bytes: encoder.encode(lines), next: at }
  }

  #open(): Opened {
    let next = Math.max(this.#first, this.#end - BEGIN)
    /** What has been taken and not given. */
    let rest: Uint8Array = nothing
    /** What was given last, and the offset behind it. */
    let given = nothing
    let end = 0
    let counted = 0
    const read = (offset: number, count: number, holding?: Holding): Uint8Array | undefined => {
      const back = end - offset
      if (back > 0 && back <= given.length) return given.subarray(given.length - back).subarray(0, count)
      if (rest.length === 0 && next >= this.#end) return undefined
      const taken = rest.length > 0 ? { bytes: rest, next } : this.#from(next, count)
      const out = taken.bytes.subarray(0, count)
      const last = tail(back === 0 ? given : nothing, out)
      const left = out.length < taken.bytes.length ? taken.bytes.byteLength : 0
      const more = last.length + left - counted
      // before anything is taken: where there is no room the next read has it
      if (more > 0) holding?.grow(more, true)
      else holding?.shrink(-more)
      counted += more
      rest = taken.bytes.subarray(out.length)
      next = taken.next
      given = last
      end = offset + out.length
      return out
    }
    return {
      stream: true,
      // What a reader has had is gone from his queue and what he has not comes next, at whatever offset: but bash, which reads
      // ahead and seeks back to the end of its line, is given again what it gave back.
      read: (offset, count, ctx): Maybe<Uint8Array> =>
        read(offset, count, ctx.holding) ?? this.#readers.wait(() => read(offset, count, ctx.holding), ctx),
    }
  }
}
