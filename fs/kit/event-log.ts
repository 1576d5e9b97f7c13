/** A feed of events: lines as they happen, as a log that ends and as a stream that waits. */
import { systemClock } from '../base/clock.js'
import type { Holding } from '../base/holding.js'
import type { MaybePromise } from '../base/maybe-promise.js'
import { record, type Value } from '../base/quote.js'
import { type File, newQid, type Opened, type Owner } from '../file.js'
import { utf8Length } from '../wire/field.js'
import { now, slice } from './content.js'
import { Readers } from './readers.js'

/** How many lines an open stream begins with, and how many a reader may fall behind before lines are lost to it. */
const BEGIN = 100
const KEEP = 10_000
/**
 * The longest value, in characters: a reason that a peer gives may be as long as a message, and 20,000 lines are kept.
 */
const MAX_VALUE = 1_000
/** How far a reader may seek back, in bytes: what shells and head(1) read ahead and give back, with a margin. */
const BACK = 64 * 1024

const nothing = new Uint8Array(0)
const encoder = new TextEncoder()

/** The last BACK bytes of two pieces joined. */
function tail(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(a.length + b.length)
  both.set(a)
  both.set(b, a.length)
  return both.slice(-BACK)
}

/** Cuts values that are too long. */
function bounded(attrs: Readonly<Record<string, Value | undefined>>): Readonly<Record<string, Value | undefined>> {
  let out = attrs
  for (const name of Object.keys(attrs)) {
    const value = attrs[name]
    if (typeof value === 'string' && value.length > MAX_VALUE) out = { ...out, [name]: `${value.slice(0, MAX_VALUE)}…` }
  }
  return out
}

/** The kinds of events of a log, each with its attributes. */
export type Kinds = Readonly<Record<string, Readonly<Record<string, Value | undefined>>>>

/**
 * Lines as they happen, numbered without gaps, as two files. The log has its true length, which grows, and reads end at
 * its end, as tail(1), less(1) and grep(1) expect. Each open of the stream begins with the newest 100 lines and then
 * waits; a reader that falls 10,000 lines behind reads one line `lost=N` and continues after the gap.
 *
 * The log is cut as by logrotate(8): at 20,000 lines it starts again with the newest 100, and `tail -f` continues.
 */
export class EventLog<K extends Kinds = Kinds> {
  #lines: string[] = []
  /** The number of the first line that is kept. */
  #first = 1
  /** The content of the log: the first `#bytes` of this buffer. */
  #log = nothing
  #bytes = 0
  #time = now()
  readonly #readers = new Readers()

  /** @param told called with each line as it is added, and its kind */
  constructor(
    readonly clock = systemClock,
    readonly told: (line: string, kind: string) => void = () => undefined,
  ) {}

  /** Adds a line `seq=… time=… kind=…` with the attributes. */
  add<N extends keyof K & string>(kind: N, attrs?: K[N]): void {
    const seq = this.#first + this.#lines.length
    const line = record('', { seq, time: new Date(this.clock.date()).toISOString(), kind, ...bounded(attrs ?? {}) })
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
    const length = this.#bytes + utf8Length(text)
    if (length > this.#log.length) {
      // readers hold views on the old buffer, so it must not change
      const larger = new Uint8Array(Math.max(length, 4096, this.#log.length * 2))
      larger.set(this.#log.subarray(0, this.#bytes))
      this.#log = larger
    }
    encoder.encodeInto(text, this.#log.subarray(this.#bytes))
    this.#bytes = length
  }

  /** The log: a read at its end is empty. */
  file(owner: Owner, mode = 0o440): File {
    const qid = newQid()
    return {
      qid,
      attributes: () => ({ mode, owner, length: this.#bytes, mtime: this.#time, atime: this.#time }),
      open: () => ({ read: (offset, count) => slice(this.#log.subarray(0, this.#bytes), offset, count) }),
    }
  }

  /**
   * The stream: a read at its end waits. It is unlisted, because a program that reads every file it finds would never
   * finish.
   */
  stream(owner: Owner, mode = 0o440): File {
    const qid = newQid()
    return {
      qid,
      unlisted: true,
      attributes: () => ({ mode, owner, length: 0, mtime: this.#time, atime: this.#time }),
      open: () => this.#open(),
    }
  }

  /**
   * The lines from number `next` on, up to the one that reaches `count` characters, and the number of the line after
   * them.
   */
  #from(next: number, count: number): { bytes: Uint8Array; next: number } {
    const behind = Math.max(0, this.#end - KEEP - next)
    let lines = behind > 0 ? `lost=${behind}\n` : ''
    let at = next + behind
    while (at < this.#end && lines.length < count) lines += this.#lines[at++ - this.#first]
    return { bytes: encoder.encode(lines), next: at }
  }

  #open(): Opened {
    let next = Math.max(this.#first, this.#end - BEGIN)
    /** What was taken from the feed but not returned yet. */
    let rest: Uint8Array = nothing
    /** What was returned last, and the offset after it. */
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
      // count before taking anything: if there is no room, the next read can still return it
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
      // Each read returns the next lines, whatever its offset. Only a reader that seeks back gets the same bytes again:
      // bash reads ahead and then seeks back to the end of the line that it has used.
      read: (offset, count, ctx): MaybePromise<Uint8Array> =>
        read(offset, count, ctx.holding) ?? this.#readers.wait(() => read(offset, count, ctx.holding), ctx),
    }
  }
}
