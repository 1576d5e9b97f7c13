/** A growing log, such as the answer to a prompt, which is read while it is written and can move to a file on disk. */
import { fail } from '../base/errors.js'
import type { Holding } from '../base/holding.js'
import type { MaybePromise } from '../base/maybe-promise.js'
import type { Context, File, Opened, Owner } from '../file.js'
import { newQid } from '../file.js'
import { utf8Length } from '../wire/field.js'
import { BLOCK, Blocks } from './blocks.js'
import { now } from './content.js'
import { Readers } from './readers.js'
import type { Spill, SpillFile } from './spill.js'

/** The most blocks moved to a file in one write: 1 MiB, so that one long log does not keep all others waiting. */
const SPILL_BLOCKS = 16

const nothing = new Uint8Array(0)

/**
 * A growing sequence of bytes, addressed by offset, with any number of readers, who wait for bytes that are not there
 * yet. The answer of an exchange is a Log (docs/files.md#data): bytes that were read are never changed, repeated or
 * withdrawn.
 */
export class AppendLog {
  /** Settles when the log has ended; never rejects. */
  readonly ended: Promise<void>
  /** Why the log broke off, if it did: a read at its end fails with this. */
  error: Error | undefined
  /** The bytes in memory, which follow those in the file. */
  readonly #blocks: Blocks
  #length = 0
  #open = true
  #spill: Spill | undefined
  #file: SpillFile | undefined
  /** How many bytes at the beginning are only in the file. */
  #spilled = 0
  #spilling = false
  /** How many bytes in memory start the next write to the file. */
  #spillAt = BLOCK
  /** The keepers that have not released the log. When the last one does, the bytes are dropped. */
  #keepers = 0
  #gone = false
  readonly #readers = new Readers()
  #end!: () => void

  /**
   * @param most the most bytes that it may hold; `append` fails beyond
   * @param holding counts the bytes in memory
   */
  constructor(
    readonly most = 16 * 1024 * 1024,
    readonly holding?: Holding,
  ) {
    this.#blocks = new Blocks(holding)
    this.ended = new Promise(resolve => {
      this.#end = resolve
    })
  }

  get length(): number {
    return this.#length
  }

  /** The memory that the log takes, in bytes. */
  get held(): number {
    return this.#blocks.held
  }

  /** Whether more bytes may follow. */
  get open(): boolean {
    return this.#open
  }

  /**
   * Appends bytes; has no effect once the log has ended or was dropped.
   * @throws FsError `file too large`, or the holding's refusal; the log is unchanged then
   */
  append(data: string | Uint8Array): void {
    if (!this.#open || this.#gone) return
    const bytes = typeof data === 'string' ? utf8Length(data) : data.length
    if (bytes === 0) return
    const length = this.#length + bytes
    if (length > this.most) throw fail('tooLarge', `answer over ${this.most} bytes`)
    if (typeof data === 'string') this.#blocks.appendText(data, bytes)
    else this.#blocks.append(data)
    this.#length = length
    this.#readers.wake()
    this.#spillMore()
  }

  get keepers(): number {
    return this.#keepers
  }

  /**
   * Keeps the bytes at least until the returned function is called. When the last keeper has released them, they are
   * dropped. A log without a holding keeps them as long as the log itself exists.
   */
  keep(): () => void {
    this.#keepers++
    let kept = true
    return () => {
      if (!kept) return
      kept = false
      if (--this.#keepers > 0 || !this.holding) return
      this.#gone = true
      this.#blocks.clear()
      this.#file?.remove()
      this.holding.free()
      this.#readers.wake()
    }
  }

  /** Ends the log: nothing more follows. With an error, reads at the end fail with it from now on. */
  end(error?: Error): void {
    if (!this.#open) return
    this.#open = false
    this.error = error
    this.#readers.wake()
    this.#end()
    this.#spillMore()
  }

  /**
   * From now on moves full blocks to a file and, when the log has ended, all of a long one. The bytes stay in memory
   * until they are in the file, and for good if they cannot be written.
   */
  spillTo(spill: Spill | undefined): void {
    this.#spill = spill
    this.#spillMore()
  }

  /**
   * Reads up to `count` bytes at `offset`: at once if there are any, otherwise as soon as there are; empty at the end.
   */
  read(offset: number, count: number, ctx: Reader): MaybePromise<Uint8Array> {
    const there = this.#there(offset, count, ctx)
    if (there) return there
    return this.#readers.wait(() => this.#there(offset, count, ctx), ctx)
  }

  /** Everything in memory, as text. If the log may spill, that is not all of it. */
  text(): string {
    return this.#blocks.text()
  }

  /** What a read can return now; undefined if it has to wait. */
  #there(offset: number, count: number, ctx: Reader): MaybePromise<Uint8Array> | undefined {
    if (this.#gone) throw removed()
    if (offset < this.#spilled) return this.#fromFile(offset, Math.min(count, this.#length - offset), ctx)
    if (offset < this.#length) return this.#blocks.read(offset - this.#spilled, count)
    if (this.#open) return undefined
    if (this.error) throw this.error
    return nothing
  }

  /**
   * Reads bytes that begin in the file. If their end is in memory, it is included: through a mount, a short read would
   * be taken for the end of the file.
   */
  async #fromFile(offset: number, count: number, ctx: Reader): Promise<Uint8Array> {
    const inFile = Math.min(count, this.#spilled - offset)
    // read this before waiting: it may have moved to the file by then
    const inMemory = this.#blocks.read(0, count - inFile)
    let first: Uint8Array
    try {
      const read = this.#file!.read(offset, inFile, ctx)
      ctx.reserve?.(count, read)
      first = await read
    } catch (error) {
      throw this.#gone ? removed() : error
    }
    if (this.#gone) throw removed()
    if (inMemory.length === 0) return first
    const all = new Uint8Array(first.length + inMemory.length)
    all.set(first)
    all.set(inMemory, first.length)
    return all
  }

  /** Starts the next write to the file, unless there is nothing to move or a write is in progress. */
  #spillMore(): void {
    if (!this.#spill || this.#spilling || this.#gone) return
    const waiting = this.#blocks.length
    if (waiting === 0 || (waiting < this.#spillAt && (this.#open || this.#length < BLOCK))) return
    const pieces = this.#blocks.first(SPILL_BLOCKS, !this.#open)
    const bytes = pieces.reduce((n, piece) => n + piece.length, 0)
    this.#file ??= this.#spill.create()
    this.#spilling = true
    void this.#file.append(pieces).then(there => {
      this.#spilling = false
      if (this.#gone) return
      if (!there) {
        // try again at the next block; an ended log, which grows no more, stays in memory
        this.#spillAt = this.#blocks.length + BLOCK
        return
      }
      this.#blocks.drop(bytes)
      this.#spilled += bytes
      this.#spillAt = BLOCK
      this.#spillMore()
    })
  }
}

/** The part of a Context that a read uses: to be interrupted, and to count what it will return. */
type Reader = Pick<Context, 'signal' | 'whenAborted' | 'reserve'>

const removed = () => fail('notFound', 'it was removed, or the server no longer keeps it')

/**
 * A file that reads a log and waits at its end. Its length is reported as 0 until the log ends: cp(1) copies no more
 * than the length of a file that has one; without one it waits for the end as cat(1) does.
 */
export function logFile(log: () => AppendLog, owner: Owner, mode = 0o400, onOpen?: () => () => void): File {
  const qid = newQid()
  const time = now()
  const extent = () => ({ length: log().open ? 0 : log().length, mtime: time })
  return {
    qid,
    attributes: () => ({ mode, owner, length: 0, mtime: time, atime: time }),
    extent,
    open(): Opened {
      const opened = onOpen?.()
      const it = log()
      const release = it.keep()
      const close = () => {
        release()
        opened?.()
      }
      return { stream: true, read: (offset, count, ctx) => it.read(offset, count, ctx), close }
    },
  }
}
