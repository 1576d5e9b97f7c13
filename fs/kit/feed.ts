import { type File, newQid, type Opened, type Owner } from '../file.js'
import type { Maybe } from '../maybe.js'
import { record, type Value } from '../quote.js'
import { now } from './content.js'
import { Readers } from './readers.js'

/** What an open begins with, and how far a reader may fall behind before he is told how much he lost. */
const BEGIN = 100
const KEEP = 10_000

/**
 * Lines as they happen, numbered without gaps: the `events` file. Each open begins with the newest 100 and then waits;
 * one that falls 10,000 behind reads one line `lost=N` and goes on.
 */
export class Feed {
  #lines: string[] = []
  /** The number of the first line kept. */
  #first = 1
  readonly #readers = new Readers()

  /** Adds a line: `seq=… time=… kind=…` and the attributes. */
  add(kind: string, attrs: Record<string, Value | undefined> = {}): void {
    const seq = this.#first + this.#lines.length
    this.#lines.push(`${record('', { seq, time: new Date().toISOString(), kind, ...attrs })}\n`)
    if (this.#lines.length >= 2 * KEEP) {
      this.#lines.splice(0, KEEP)
      this.#first += KEEP
    }
    this.#readers.wake()
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
    let rest = new Uint8Array(0)
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
    return {
      stream: true,
      // Offsets are not looked at: what a reader has had is gone from his queue, what he has not comes next.
      read: (_offset, count, ctx): Maybe<Uint8Array> => {
        const there = () => (rest.length > 0 || next < this.#end ? take(count) : undefined)
        return there() ?? this.#readers.wait(there, ctx.signal)
      },
    }
  }
}
