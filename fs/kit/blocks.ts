/** A byte buffer in blocks, for content that grows. */
import type { Holding } from '../base/holding.js'

/**
 * The size of the first block when it is created, in bytes, and of every other block; the first one grows to that size.
 * A short answer takes little memory, a long one is not copied.
 */
const FIRST = 512
export const BLOCK = 64 * 1024

const nothing = new Uint8Array(0)
const encoder = new TextEncoder()
const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const lenient = new TextDecoder('utf-8', { ignoreBOM: true })

/**
 * Bytes that are appended at the end and dropped from the beginning, in blocks of one size. Each block is counted
 * before it is allocated.
 */
export class Blocks {
  #blocks: Uint8Array[] = []
  #length = 0

  constructor(readonly holding?: Holding) {}

  get length(): number {
    return this.#length
  }

  /** Appends all of the bytes. @throws FsError if there is no room; nothing has changed then */
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

  /**
   * Appends a text as UTF-8, without a copy of it in between: to allocate an array takes several times as long as to
   * encode a short text.
   * @param bytes the text's length in UTF-8
   * @throws FsError if there is no room; nothing has changed then
   */
  appendText(text: string, bytes: number): void {
    const into = this.#length % BLOCK
    if (into + bytes > BLOCK) return this.append(encoder.encode(text))
    this.#reserve(this.#length + bytes)
    encoder.encodeInto(text, this.#blocks[Math.floor(this.#length / BLOCK)]!.subarray(into))
    this.#length += bytes
  }

  /** Up to `count` bytes at `offset`: a view, unless they are in two blocks. Bytes that were returned never change. */
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

  /** All bytes as text. @param fatal throws TypeError if they are not UTF-8 */
  text(fatal = false): string {
    const one = fatal ? strict : lenient
    // a decoder of its own is needed only where a character may be cut in two
    if (this.#length <= BLOCK) return one.decode(this.#length ? this.#view(0, this.#length) : nothing)
    const decoder = new TextDecoder('utf-8', { fatal, ignoreBOM: true })
    const pieces: string[] = []
    for (let at = 0; at < this.#length; at += BLOCK)
      pieces.push(decoder.decode(this.#view(at, Math.min(at + BLOCK, this.#length)), { stream: true }))
    pieces.push(decoder.decode())
    return pieces.join('')
  }

  /**
   * Up to `most` blocks from the beginning: the full ones and, if `all` is true, the last one as far as it is filled.
   * Bytes appended later do not change them.
   */
  first(most: number, all: boolean): Uint8Array[] {
    const full = Math.floor(this.#length / BLOCK)
    const first = this.#blocks.slice(0, Math.min(full, most))
    const rest = this.#length % BLOCK
    if (all && rest > 0 && full < most) first.push(this.#blocks[full]!.subarray(0, rest))
    return first
  }

  /**
   * Drops `bytes` from the beginning, which must be full blocks or everything. What follows then begins at offset 0.
   */
  drop(bytes: number): void {
    if (bytes === this.#length) return this.clear()
    const before = this.held
    this.#blocks.splice(0, bytes / BLOCK)
    this.#length -= bytes
    this.holding?.shrink(before - this.held)
  }

  /** Drops everything. */
  clear(): void {
    this.holding?.shrink(this.held)
    this.#blocks = []
    this.#length = 0
  }

  /** A view on the bytes from an offset to `end`, or to the end of the block. */
  #view(offset: number, end: number): Uint8Array {
    const from = offset % BLOCK
    return this.#blocks[Math.floor(offset / BLOCK)]!.subarray(from, from + end - offset)
  }

  /** The memory that the blocks take, in bytes. */
  get held(): number {
    return this.#blocks.length > 1 ? this.#blocks.length * BLOCK : (this.#blocks[0]?.length ?? 0)
  }

  #reserve(length: number): void {
    const have = this.held
    if (length <= have) return
    // allocate whole blocks, except for the first, which doubles
    const want = length > BLOCK ? Math.ceil(length / BLOCK) * BLOCK : Math.min(BLOCK, Math.max(FIRST, length, 2 * have))
    this.holding?.grow(want - have)
    const first = new Uint8Array(Math.min(want, BLOCK))
    const small = this.#blocks[0]
    if (!small) this.#blocks.push(first)
    else if (small.length < first.length) {
      // readers hold views on the old block, so it must not change
      first.set(small.subarray(0, this.#length))
      this.#blocks[0] = first
    }
    while (this.#blocks.length * BLOCK < want) {
      if (want <= BLOCK) break
      this.#blocks.push(new Uint8Array(BLOCK))
    }
  }
}
