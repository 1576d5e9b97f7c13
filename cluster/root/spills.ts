/** The files that long answers, streams and transcripts are moved to: bounded in all, and written one after another. */

import { fail } from '../../api/errors.js'
import type { Clock } from '../../fs/base/clock.js'
import type { Context } from '../../fs/file.js'
import { Readers } from '../../fs/kit/readers.js'
import type { Spill, SpillFile } from '../../fs/kit/spill.js'
import { Budget } from './budget.js'
import { SPILL_AGAIN, SPILL_READ_MS, SPILL_READS } from './limits.js'

const MiB = 1024 * 1024

/** The disk with these files, by name. It may be slow, full or read-only. */
export interface SpillDisk {
  /** Most bytes of all files together. */
  readonly limit: number
  /**
   * Writes pieces in order at an offset; at offset 0 it creates the file. Rejects unless everything is written; the
   * file is then cut to the offset again.
   */
  write(name: string, offset: number, pieces: readonly Uint8Array[]): Promise<void>
  /** Reads up to `count` bytes at `offset`. */
  read(name: string, offset: number, count: number): Promise<Uint8Array>
  /** Removes a file. A missing file is not an error. */
  remove(name: string): Promise<void>
}

/** What interrupts a read. */
type Reader = Pick<Context, 'signal' | 'whenAborted'>

/** Writes and reads these files for all tasks and sessions of a server, and bounds what each user has in them. */
export class Spills {
  /** Bytes per user. Shares are granted as those of memory are. */
  readonly #shares: Budget
  #created = 0
  #failing = false
  /** Users that were refused because they had used up their share. */
  readonly #full = new Set<string>()
  /** Files that have something to write, or are to be removed, in order. */
  readonly #waiting = new Set<Spilled>()
  #working = false
  #reading = 0
  readonly #turns = new Readers()

  /** @param failed is called with the reason when writing fails; once, until a write succeeds again */
  constructor(
    readonly disk: SpillDisk,
    readonly clock: Clock,
    readonly failed: (error: Error) => void,
  ) {
    this.#shares = new Budget({ limit: disk.limit })
  }

  /** Bytes that are in files. */
  get used(): number {
    return this.#shares.used
  }

  /** Whether the last write failed, or a user has used up their share. */
  get failing(): boolean {
    return this.#failing || this.#full.size > 0
  }

  /** Makes files for that user. */
  of(user: string): Spill {
    return { create: () => new Spilled(this, String(++this.#created), user) }
  }

  /** Queues a file that has something to do. */
  work(file: Spilled): void {
    this.#waiting.add(file)
    if (!this.#working) void this.#work()
  }

  /** Takes a file out of that queue. */
  rest(file: Spilled): void {
    this.#waiting.delete(file)
  }

  async #work(): Promise<void> {
    this.#working = true
    for (const file of this.#waiting) {
      this.#waiting.delete(file)
      await file.work()
    }
    this.#working = false
  }

  /**
   * Whether that user has used up their share, or there is no room at all. Reported once, until the user has less
   * again.
   */
  #isFull(user: string, bytes: number): boolean {
    const own = this.#shares.usedBy(user)
    const was = this.#full.has(user)
    if (this.#shares.fits(user, bytes + (was ? (1 / SPILL_AGAIN - 1) * own : 0))) {
      this.#full.delete(user)
      return false
    }
    const mib = (n: number) => Math.floor(n / MiB)
    const says = `the answers and transcripts of ${user} take ${mib(own)} of the ${mib(this.disk.limit)} MiB allowed there`
    if (!was) this.failed(fail('diskFull', says))
    this.#full.add(user)
    return true
  }

  /** Appends to a file. Never rejects. @returns whether everything was written */
  async write(user: string, name: string, offset: number, pieces: readonly Uint8Array[]): Promise<boolean> {
    const bytes = pieces.reduce((n, piece) => n + piece.length, 0)
    if (this.#isFull(user, bytes)) return false
    try {
      await this.disk.write(name, offset, pieces)
      this.#shares.count(user, bytes)
      this.#failing = false
      return true
    } catch (error) {
      if (!this.#failing) this.failed(error as Error)
      this.#failing = true
      return false
    }
  }

  async read(name: string, offset: number, count: number, ctx: Reader): Promise<Uint8Array> {
    const lost = (why: string) => fail('io', `cannot read this part from the disk: ${why}`)
    const done = new Readers()
    let late = false
    let outcome: (() => Uint8Array) | undefined
    const settle = (to: () => Uint8Array) => {
      outcome = to
      this.#reading--
      this.#turns.wake()
      done.wake()
    }
    const inTime = <T>(take: () => T | undefined) => {
      if (late) throw lost(`the disk has not answered for ${SPILL_READ_MS / 1000} s`)
      return take()
    }
    const turn = () => inTime(() => (this.#reading < SPILL_READS ? ++this.#reading : undefined))
    const timer = this.clock.after(SPILL_READ_MS, () => {
      late = true
      this.#turns.wake()
      done.wake()
    })
    try {
      if (turn() === undefined) await this.#turns.wait(turn, ctx)
      // a reader that no longer wants to wait for a slow disk returns early; its read keeps its turn until it is done
      this.disk.read(name, offset, count).then(
        bytes => settle(() => bytes),
        (error: NodeJS.ErrnoException) =>
          settle(() => {
            throw lost(error.code ?? error.message)
          }),
      )
      const bytes = await done.wait(() => inTime(() => outcome?.()), ctx)
      if (bytes.length !== count) throw lost('the file was truncated')
      return bytes
    } finally {
      timer()
    }
  }

  /** Removes a file. Never rejects. */
  async remove(user: string, name: string, bytes: number): Promise<void> {
    try {
      await this.disk.remove(name)
      this.#shares.count(user, -bytes)
      for (const one of [...this.#full]) this.#isFull(one, 0)
    } catch {
      // it is still there, and still counts
    }
  }
}

class Spilled implements SpillFile {
  #length = 0
  /** Whether the file may exist on the disk. */
  #made = false
  #removed = false
  #next: { pieces: readonly Uint8Array[]; done(there: boolean): void } | undefined

  constructor(
    readonly spills: Spills,
    readonly name: string,
    readonly user: string,
  ) {}

  append(pieces: readonly Uint8Array[]): Promise<boolean> {
    return new Promise(done => {
      if (this.#removed) return done(false)
      this.#next = { pieces, done }
      this.spills.work(this)
    })
  }

  read(offset: number, count: number, ctx: Reader): Promise<Uint8Array> {
    return this.spills.read(this.name, offset, count, ctx)
  }

  remove(): void {
    if (this.#removed) return
    this.#removed = true
    // a slow disk must not keep the memory of a removed file
    this.#next?.done(false)
    this.#next = undefined
    if (this.#made) this.spills.work(this)
    else this.spills.rest(this)
  }

  /** Writes the pending pieces, or removes the file. Never rejects. */
  async work(): Promise<void> {
    if (this.#removed) return this.spills.remove(this.user, this.name, this.#length)
    const next = this.#next
    if (!next) return
    this.#next = undefined
    this.#made = true
    const there = await this.spills.write(this.user, this.name, this.#length, next.pieces)
    if (there) this.#length += next.pieces.reduce((n, piece) => n + piece.length, 0)
    next.done(there)
  }
}
