import { fail } from '../errors.js'
import type { Context, File, Opened, Owner } from '../file.js'
import { newQid } from '../file.js'
import type { Holding } from '../holding.js'
import type { Maybe } from '../maybe.js'
import { BLOCK, Blocks } from './blocks.js'
import { now } from './content.js'
import { Readers } from './readers.js'
import type { Spill, SpillFile } from './spill.js'

/** Blocks that go to a file in one write: 1 MiB, so that one long log does not keep all others waiting. */
const SPILL_BLOCKS = 16

const encoder = new TextEncoder()
const nothing = new Uint8Array(0)

/**
 * Bytes that only grow, addressed by offset, read by any number of readers who wait for what is not there yet. The answer
 * of an exchange is one (namespace.md, data 4): bytes once read are never changed, repeated or withdrawn.
 */
export class Log {
  /** Settles when the log has ended; never rejects. */
  readonly ended: Promise<void>
  /** Why it broke off, if it did: what a read at its end fails with. */
  error: Error | undefined
  /** What is in memory: what follows the bytes that are in its file. */
  readonly #blocks: Blocks
  #length = 0
  #open = true
  #spill: Spill | undefined
  #file: SpillFile | undefined
  /** Bytes at the beginning that are in its file only. */
  #spilled = 0
  #spilling = false
  /** Bytes in memory at which more goes to the file. */
  #spillAt = BLOCK
  /** Those that have not let go of it; once there were some and there are none, its bytes are gone. */
  #keepers = 0
  #gone = false
  readonly #readers = new Readers()
  #end!: () => void

  /**
   * @param most bytes it may hold; `append` fails beyond
   * @param holding counts them
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

  /** Bytes of memory that it takes. */
  get held(): number {
    return this.#blocks.held
  }

  /** Whether more may come. */
  get open(): boolean {
    return this.#open
  }

  /** @throws FsError `file too large`, or what its holding refuses with: then it is as it was */
  append(data: string | Uint8Array): void {
    if (!this.#open || this.#gone) return
    const bytes = typeof data === 'string' ? encoder.encode(data) : data
    if (bytes.length === 0) return
    const length = this.#length + bytes.length
    if (length > this.most) throw fail('tooLarge', `an answer over ${this.most} bytes`)
    this.#blocks.append(bytes)
    this.#length = length
    this.#readers.wake()
    this.#spillMore()
  }

  get keepers(): number {
    return this.#keepers
  }

  /**
   * Its bytes stay at least until what this returns is called: when the last keeper has let go, they are gone. Those that nobody counts
   * go with the log itself.
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

  /** No more comes; with an error, a read at the end fails with it from now on. */
  end(error?: Error): void {
    if (!this.#open) return
    this.#open = false
    this.error = error
    this.#readers.wake()
    this.#end()
    this.#spillMore()
  }

  /**
   * From now on what fills a block moves to a file, and when the log has ended all of a long one does. Memory has it until it is there,
   * and keeps it where it cannot be put there.
   */
  spillTo(spill: Spill | undefined): void {
    this.#spill = spill
    this.#spillMore()
  }

  /** Up to `count` bytes at `offset`: at once if there are any, else when there are; empty at the end. */
  read(offset: number, count: number, ctx: Reader): Maybe<Uint8Array> {
    const there = this.#there(offset, count, ctx)
    if (there) return there
    return this.#readers.wait(() => this.#there(offset, count, ctx), ctx)
  }

  /** All that is there, as text; of a log that may spill, what is in memory. */
  text(): string {
    return this.#blocks.text()
  }

  /** What a read can be given now; undefined if it has to wait. */
  #there(offset: number, count: number, ctx: Reader): Maybe<Uint8Array> | undefined {
    if (this.#gone) throw removed()
    if (offset < this.#spilled) return this.#fromFile(offset, Math.min(count, this.#length - offset), ctx)
    if (offset < this.#length) return this.#blocks.read(offset - this.#spilled, count)
    if (this.#open) return undefined
    if (this.error) throw this.error
    return nothing
  }

  /** Bytes that begin in the file. Their end may be in memory: as a read through a mount that comes short would end a file there. */
  async #fromFile(offset: number, count: number, ctx: Reader): Promise<Uint8Array> {
    const inFile = Math.min(count, this.#spilled - offset)
    // before anything is waited for: it may have moved to the file by then
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

  /** Begins to move to the file what is to go there, unless some of it is on its way. */
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
        // the next block tries again; an ended log, which gets no more, stays as it is
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

/** What a read is interrupted by, and counts what it will bring with. */
type Reader = Pick<Context, 'signal' | 'whenAborted' | 'reserve'>

const removed = () => fail('notFound', 'it was removed, or the server keeps it no longer')

/**
 * A file that reads a log, waiting at its end. Its length is said to be 0 until the log ends: cp(1), which copies no more than the
 * length where there is one, then waits for the end as cat(1) does.
 */
export function logFile(log: () => Log, owner: Owner, mode = 0o400, onOpen?: () => () => void): File {
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
