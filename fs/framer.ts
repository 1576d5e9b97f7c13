import { fail } from './errors.js'
import type { Holding } from './holding.js'
import { MAX_FIRST_MESSAGE } from './limits.js'

/** size[4] type[1] tag[2]: no message has less, and of one that is not kept this is. */
const HEAD = 7
/** How many times what it must hold a buffer becomes: what comes byte by byte is copied a few times, not at each byte. */
const GROWTH = 4

/**
 * Cuts a byte stream into whole messages by their size[4], however it was split or merged on the way. The same for a
 * socket's chunks and a WebSocket's messages.
 */
export class Framer {
  /** No message may be larger; the session sets it to its msize once there is one. */
  most = MAX_FIRST_MESSAGE
  /** The message that has begun: as much of it as there was room for. */
  #buffer = new Uint8Array(HEAD)
  #have = 0
  #want = 4
  /** Bytes of the buffer that are counted. */
  #counted = 0
  /** Why there was no room for the message. */
  #refusal: unknown

  /** @param holding counts what is kept of a message that has not come whole */
  constructor(readonly holding?: Holding) {}

  /** Whether a message has begun and is not complete. */
  get partial(): boolean {
    return this.#have > 0
  }

  /**
   * Takes a chunk and hands out each message that it completes. A message that lies whole in the chunk is a view on it;
   * only one that spans chunks is copied.
   * @param refused gets, of a message for which `holding` had no room, the head when its last byte has come, and the refusal
   * @throws FsError `bad message` where a size cannot be: the stream has lost its place and must be closed
   */
  push(
    chunk: Uint8Array,
    message: (bytes: Uint8Array) => void,
    refused?: (head: Uint8Array, why: unknown) => void,
  ): void {
    for (let at = 0; at < chunk.length; ) {
      if (this.#have === 0 && chunk.length - at >= 4) {
        const size = this.#size(chunk, at)
        if (chunk.length - at >= size) {
          message(chunk.subarray(at, at + size))
          at += size
          continue
        }
      }
      const piece = chunk.subarray(at, at + this.#want - this.#have)
      this.#room(this.#have + piece.length)
      // of a message that was refused only the head has a place
      const place = this.#buffer.length - this.#have
      if (place > 0) this.#buffer.set(piece.subarray(0, place), this.#have)
      this.#have += piece.length
      at += piece.length
      if (this.#have < this.#want) continue
      if (this.#want === 4) this.#want = this.#size(this.#buffer, 0)
      else {
        const { whole, refusal } = this.#taken()
        if (refusal === undefined) message(whole)
        else refused?.(whole, refusal)
      }
    }
  }

  /** Makes the buffer large enough, or small for good where there is no room. */
  #room(length: number): void {
    if (length <= this.#buffer.length || this.#refusal !== undefined) return
    const larger = Math.min(this.#want, GROWTH * length)
    try {
      this.holding?.grow(larger - this.#counted)
      this.#counted = larger
    } catch (error) {
      this.#refusal = error
      this.holding?.shrink(this.#counted)
      this.#counted = 0
    }
    const buffer = new Uint8Array(this.#refusal === undefined ? larger : HEAD)
    buffer.set(this.#buffer.subarray(0, Math.min(this.#have, buffer.length)))
    this.#buffer = buffer
  }

  /** What has come whole; the next begins. */
  #taken(): { whole: Uint8Array; refusal: unknown } {
    const taken = { whole: this.#buffer, refusal: this.#refusal }
    this.holding?.shrink(this.#counted)
    this.#buffer = new Uint8Array(HEAD)
    this.#have = 0
    this.#want = 4
    this.#counted = 0
    this.#refusal = undefined
    return taken
  }

  #size(bytes: Uint8Array, at: number): number {
    const size = (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
    if (size < HEAD || size > this.most) throw fail('badMessage', `size ${size}: ${HEAD} to ${this.most}`)
    return size
  }
}

/** The parts as one: the part itself where there is only one, else a copy. @param length of all parts, counted if not given */
export function join(
  parts: readonly Uint8Array[],
  length: number = parts.reduce((n, part) => n + part.length, 0),
): Uint8Array {
  if (parts.length === 1) return parts[0]!
  const whole = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
