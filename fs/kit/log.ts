import { fail } from '../errors.js'
import type { Context, File, Opened, Owner } from '../file.js'
import { newQid } from '../file.js'
import type { Holding } from '../holding.js'
import type { Maybe } from '../maybe.js'
import { Blocks } from './blocks.js'
import { now } from './content.js'
import { Readers } from './readers.js'

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
  readonly #blocks: Blocks
  #length = 0
  #open = true
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
  }

  /** Up to `count` bytes at `offset`: at once if there are any, else when there are; empty at the end. */
  read(offset: number, count: number, ctx: Pick<Context, 'signal' | 'whenAborted'>): Maybe<Uint8Array> {
    const there = this.#there(offset, count)
    if (there) return there
    return this.#readers.wait(() => this.#there(offset, count), ctx)
  }

  /** All that is there, as text. */
  text(): string {
    return this.#blocks.text()
  }

  /** What a read can be given now; undefined if it has to wait. */
  #there(offset: number, count: number): Uint8Array | undefined {
    if (this.#gone) throw fail('notFound', 'it was removed, or the server keeps it no longer')
    if (offset < this.#length) return this.#blocks.read(offset, count)
    if (this.#open) return undefined
    if (this.error) throw this.error
    return nothing
  }
}

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
