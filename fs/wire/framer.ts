/** Splits a byte stream into 9P messages. */
import { fail } from '../base/errors.js'
import type { Holding } from '../base/holding.js'
import { MAX_FIRST_MESSAGE } from '../base/limits.js'

/** size[4] type[1] tag[2]: the smallest message, and all that is kept of a message that is refused. */
const HEAD = 7
/**
 * The factor by which a buffer is made larger than it must be now: bytes that arrive one by one are copied a few times,
 * not for each byte.
 */
const GROWTH = 4

/**
 * Splits a byte stream into whole messages by their size[4], however it was split or merged on the way. It serves both
 * a socket's chunks and the messages of a WebSocket.
 */
export class Framer {
  /** The largest message accepted; the session sets it to its msize once that is agreed on. */
  most = MAX_FIRST_MESSAGE
  /** The incomplete message, as far as there was room for it. */
  #buffer = new Uint8Array(HEAD)
  #have = 0
  #want = 4
  /** Bytes of the buffer that `holding` counts. */
  #counted = 0
  /** Why there was no room for the message, if so. */
  #refusal: unknown

  /** @param holding counts the bytes of an incomplete message */
  constructor(readonly holding?: Holding) {}

  /** Whether a message is incomplete. */
  get partial(): boolean {
    return this.#have > 0
  }

  /**
   * Takes a chunk and passes on each message that it completes. A message that lies entirely in the chunk is a view on
   * it; only one that spans chunks is copied.
   * @param refused called for a message for which `holding` had no room, once its last byte has arrived, with its head
   *   and the refusal
   * @throws FsError `bad message` for an impossible size: message boundaries are lost and the connection must be closed
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
      // a refused message keeps only its head
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

  /**
   * Grows the buffer to hold `length` bytes. If there is no room, only the head of this message is kept from here on.
   */
  #room(length: number): void {
    if (length <= this.#buffer.length || this.#refusal !== undefined) return
    const larger = Math.min(this.#want, GROWTH * length)
    try {
      this.holding?.grow(larger - this.#counted, true)
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

  /** Takes out the complete message and starts on the next. */
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
    if (size < HEAD || size > this.most) throw fail('badMessage', `size ${size}; expected ${HEAD} to ${this.most}`)
    return size
  }
}

/**
 * Joins parts: a single part is returned itself, several are copied. @param length the length of all parts, computed if
 * not given
 */
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
