import { systemClock } from '../clock.js'
import { type File, newQid, type Opened, type Owner } from '../file.js'
import type { Maybe } from '../maybe.js'
import { record, type Value } from '../quote.js'
import { now } from './content.js'
import { Readers } from './readers.js'

/** What an open begins with, and how far a reader may fall behind before he is told how much he lost. */
const BEGIN = 100
const KEEP = 10_000
/** How far a reader may seek back, in bytes: what shells and head(1) read ahead and give back, with room. */
const BACK = 64 * 1024

const nothing = new Uint8Array(0)

/** The last bytes of two pieces together, up to BACK. */
function tail(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(a.length + b.length)
  both.set(a)
  both.set(b, a.length)
  return both.slice(-BACK)
}

/**
 * Lines as they happen, numbered without gaps: the `events` file. Each open begins with the newest 100 and then waits;
 * one that falls 10,000 behind reads one line `lost=N` and goes on.
 */
export class Feed {
  #lines: string[] = []
  /** The number of the first line kept. */
  #first = 1
  readonly #readers = new Readers()

  /** @param told gets each line as it is added, and of what kind it is */
  constructor(
    readonly clock = systemClock,
    readonly told: (line: string, kind: string) => void = () => undefined,
  ) {}

  /** Adds a line: `seq=… time=… kind=…` and the attributes. */
  add(kind: string, attrs: Record<string, Value | undefined> = {}): void {
    const seq = this.#first + this.#lines.length
    const line = record('', { seq, time: new Date(this.clock.date()).toISOString(), kind, ...attrs })
    this.#lines.push(`${line}\n`)
    if (this.#lines.length >= 2 * KEEP) {
      this.#lines.splice(0, KEEP)
      this.#first += KEEP
    }
    this.#readers.wake()
    this.told(line, kind)
  }

  get #end(): number {
    return this.#first + this.#lines.length
  }

  file(owner: Owner, mode = 0o440): File {
    const qid = newQid()
    return {
      qid,
      attributes: () => ({ mode, owner, length: 0, mtime: now(), atime: now() }),
      open: () => this.#open(),
    }
  }

  #open(): Opened {
    const encoder = new TextEncoder()
    let next = Math.max(this.#first, this.#end - BEGIN)
    let rest = nothing
    /** What was given last, and the offset behind it. */
    let given = nothing
    let end = 0
    const take = (count: number): Uint8Array => {
      if (rest.length === 0) {
        let lines = ''
        const behind = this.#end - KEEP - next
        if (behind > 0) {
          lines = `lost=${behind}\n`
          next += behind
        }
        while (next < this.#end && lines.length < count) lines += this.#lines[next++ - this.#first]
        rest = encoder.encode(lines)
      }
      const out = rest.subarray(0, count)
      rest = rest.subarray(out.length)
      return out
    }
    const read = (offset: number, count: number): Uint8Array | undefined => {
      const back = end - offset
      if (back > 0 && back <= given.length) return given.subarray(given.length - back).subarray(0, count)
      if (rest.length === 0 && next >= this.#end) return undefined
      const out = take(count)
      given = tail(back === 0 ? given : nothing, out)
      end = offset + out.length
      return out
    }
    return {
      stream: true,
      // What a reader has had is gone from his queue and what he has not comes next, at whatever offset: but bash, which reads
      // ahead and seeks back to the end of its line, is given again what it gave back.
      read: (offset, count, ctx): Maybe<Uint8Array> =>
        read(offset, count) ?? this.#readers.wait(() => read(offset, count), ctx),
    }
  }
}
