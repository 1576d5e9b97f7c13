import type { Holding } from '../holding.js'

/** Bytes of the first block, and of those that follow when it has grown to that: a short answer costs little, a long one no copies. */
const FIRST = 512
export const BLOCK = 64 * 1024

const nothing = new Uint8Array(0)

/** Bytes that grow at the end and go at the beginning, in blocks of one size, each of which is counted before it is there. */
export class Blocks {
  #blocks: Uint8Array[] = []
  #length = 0

  constructor(readonly holding?: Holding) {}

  get length(): number {
    return this.#length
  }

  /** Adds all of the bytes. @throws FsError where there is no room: then it is as it was */
  append(bytes: Uint8Array): void {
    this.#reserve(this.#length + bytes.length)
    for (let at = 0; at < bytes.length; ) {
      const block = this.#blocks[Math.floor(this.#length / BLOCK)]!
      const into = this.#length % BLOCK
      const piece = bytes.subarray(at, at + BLOCK - into)
      block.set(piece, into)
      at += piece.length
      this.#length += piece.length
    }
  }

  /** Up to `count` bytes at `offset`: a view, unless they lie in two blocks. What was given is never changed. */
  read(offset: number, count: number): Uint8Array {
    const end = Math.min(offset + count, this.#length)
    if (offset >= end) return nothing
    const first = this.#view(offset, end)
    if (first.length === end - offset) return first
    const all = new Uint8Array(end - offset)
    for (let at = offset; at < end; ) {
      const piece = this.#view(at, end)
      all.set(piece, at - offset)
      at += piece.length
    }
    return all
  }

  /** All of it as text. @param fatal throws TypeError for what is no UTF-8 */
  text(fatal = false): string {
    const decoder = new TextDecoder('utf-8', { fatal, ignoreBOM: true })
    const pieces: string[] = []
    for (let at = 0; at < this.#length; at += BLOCK)
      pieces.push(decoder.decode(this.#view(at, Math.min(at + BLOCK, this.#length)), { stream: true }))
    pieces.push(decoder.decode())
    return pieces.join('')
  }

  /**
   * Up to `most` blocks from the beginning: those that are full and, where `all` is asked for, the last one as far as it goes.
   * Bytes that come later do not change them.
   */
  first(most: number, all: boolean): Uint8Array[] {
    const full = Math.floor(this.#length / BLOCK)
    const first = this.#blocks.slice(0, Math.min(full, most))
    const rest = this.#length % BLOCK
    if (all && rest > 0 && full < most) first.push(this.#blocks[full]!.subarray(0, rest))
    return first
  }

  /** Lets go of so many bytes at the beginning, which are full blocks or all there is: what follows begins at 0 then. */
  drop(bytes: number): void {
    if (bytes === this.#length) return this.clear()
    const before = this.held
    this.#blocks.splice(0, bytes / BLOCK)
    this.#length -= bytes
    this.holding?.shrink(before - this.held)
  }

  /** Lets go of all. */
  clear(): void {
    this.holding?.shrink(this.held)
    this.#blocks = []
    this.#length = 0
  }

  /** What there is at an offset, to the end of its block. */
  #view(offset: number, end: number): Uint8Array {
    const from = offset % BLOCK
    return this.#blocks[Math.floor(offset / BLOCK)]!.subarray(from, from + end - offset)
  }

  /** Bytes of memory that they take. */
  get held(): number {
    return this.#blocks.length > 1 ? this.#blocks.length * BLOCK : (this.#blocks[0]?.length ?? 0)
  }

  #reserve(length: number): void {
    const have = this.held
    if (length <= have) return
    // a whole block at a time, but for the first, which doubles
    const want = length > BLOCK ? Math.ceil(length / BLOCK) * BLOCK : Math.min(BLOCK, Math.max(FIRST, length, 2 * have))
    this.holding?.grow(want - have)
    const first = new Uint8Array(Math.min(want, BLOCK))
    const small = this.#blocks[0]
    if (!small) this.#blocks.push(first)
    else if (small.length < first.length) {
      // readers hold views on the old one, which stays as it is
      first.set(small.subarray(0, this.#length))
      this.#blocks[0] = first
    }
    while (this.#blocks.length * BLOCK < want) {
      if (want <= BLOCK) break
      this.#blocks.push(new Uint8Array(BLOCK))
    }
  }
}
