import { fail } from './errors.js'
import { MAX_FIRST_MESSAGE } from './limits.js'

const ordinary = 7

/**
 * Cuts a byte stream into whole messages by their size[4], however it was split or merged on the way. The same for a
 * socket's chunks and a WebSocket's messages.
 */
export class Framer {
  /** No message may be larger; the session sets it to its msize once there is one. */
  most = MAX_FIRST_MESSAGE
  #parts: Uint8Array[] = []
  #have = 0
  #want = 4

  /** Whether a message has begun and is not complete. */
  get partial(): boolean {
    return this.#have > 0
  }

  /**
   * Takes a chunk and hands out each message that it completes. A message that lies whole in the chunk is a view on it;
   * only one that spans chunks is copied.
   * @throws FsError `bad message` where a size cannot be: the stream has lost its place and must be closed
   */
  push(chunk: Uint8Array, message: (bytes: Uint8Array) => void): void {
    let at = 0
    if (this.#have > 0) {
      // finish what is begun: first its size, then its body
      while (this.#have < this.#want) {
        const take = Math.min(this.#want - this.#have, chunk.length - at)
        if (take === 0) return
        this.#parts.push(chunk.subarray(at, at + take))
        this.#have += take
        at += take
        if (this.#have === 4 && this.#want === 4) this.#want = this.#size(join(this.#parts, 4), 0)
      }
      const whole = join(this.#parts, this.#have)
      this.#reset()
      message(whole)
    }
    while (chunk.length - at >= 4) {
      const size = this.#size(chunk, at)
      if (chunk.length - at < size) {
        this.#want = size
        break
      }
      message(chunk.subarray(at, at + size))
      at += size
    }
    if (at < chunk.length) {
      this.#parts.push(chunk.subarray(at))
      this.#have = chunk.length - at
    }
  }

  #reset(): void {
    this.#parts = []
    this.#have = 0
    this.#want = 4
  }

  #size(bytes: Uint8Array, at: number): number {
    const size = (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
    if (size < ordinary || size > this.most) throw fail('badMessage', `size ${size}: 7 to ${this.most}`)
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
