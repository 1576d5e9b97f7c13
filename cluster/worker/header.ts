/** A bounded reader for the header of an untrusted file. */
import { fail } from '../../api/errors.js'
import { HEADER_TIMEOUT_MS, HEADER_WINDOW, MAX_HEADER } from './limits.js'

const decoder = new TextDecoder()

/** The likely cause of a file that is too short. */
export const CUT = 'it was truncated, or not copied completely'

/** The open file that a header is read from. */
export interface Source {
  read(into: Buffer, at: number, length: number, position: number): Promise<{ bytesRead: number }>
}

/**
 * Reads a file's header from front to back through a window of fixed size. It trusts nothing that the file says about
 * itself: each step is first checked against the file's real size. A read waits only when the window is used up, so the
 * event loop gets a turn every 256 KiB, however large the header is.
 */
export class Header {
  /** What is being read, for error messages: `key 3`. */
  what = 'the header'
  #window = Buffer.alloc(HEADER_WINDOW)
  /**
   * The offset of the window in the file, how much of the window is filled, and the position of the next byte in it.
   */
  #start = 0
  #filled = 0
  #next = 0
  readonly #deadline = performance.now() + HEADER_TIMEOUT_MS

  constructor(
    readonly file: Source,
    readonly size: number,
    readonly signal?: AbortSignal,
  ) {}

  /** Offset of the next byte in the file. */
  get at(): number {
    return this.#start + this.#next
  }

  /** Bytes of the file that are left. */
  get left(): number {
    return this.size - this.at
  }

  /** Makes an FsError `model file is damaged` that names the rule. */
  broken(rule: string): Error {
    return fail('badModel', rule)
  }

  /** Throws if fewer than `n` bytes are left, or if the header would get longer than any real one. */
  #check(n: number): void {
    if (n > this.left) throw this.broken(`it ends after ${this.size} bytes, inside ${this.what}; ${CUT}`)
    if (this.at + n > MAX_HEADER) throw this.broken(`its header has over ${MAX_HEADER} bytes, in ${this.what}`)
  }

  /** Whether the next `n` bytes can be read without waiting. */
  #has(n: number): boolean {
    return this.#filled - this.#next >= n
  }

  async #fill(n: number): Promise<void> {
    this.#check(n)
    this.signal?.throwIfAborted()
    if (performance.now() > this.#deadline) {
      throw this.broken(`its header takes longer than ${HEADER_TIMEOUT_MS / 1000} s to read`)
    }
    const at = this.at
    const rest = Math.max(0, this.#filled - this.#next)
    this.#window.copyWithin(0, this.#next, this.#filled)
    this.#start = at
    this.#next = 0
    this.#filled = rest
    while (this.#filled < n) {
      const room = HEADER_WINDOW - this.#filled
      const { bytesRead } = await this.file.read(this.#window, this.#filled, room, at + this.#filled)
      if (bytesRead === 0) throw this.broken(`the file was truncated while it was read, in ${this.what}`)
      this.#filled += bytesRead
    }
  }

  async u32(): Promise<number> {
    if (!this.#has(4)) await this.#fill(4)
    this.#next += 4
    return this.#window.readUInt32LE(this.#next - 4)
  }

  async u64(): Promise<bigint> {
    if (!this.#has(8)) await this.#fill(8)
    this.#next += 8
    return this.#window.readBigUInt64LE(this.#next - 8)
  }

  /** Reads the next `n` bytes, at most a window. @returns a view that is valid until the next call */
  async bytes(n: number): Promise<Buffer> {
    if (!this.#has(n)) await this.#fill(n)
    this.#next += n
    return this.#window.subarray(this.#next - n, this.#next)
  }

  /**
   * Reads a string (length[8] and that many bytes) of at most `most` bytes.
   * @returns a view that is valid until the next call
   */
  async #string(most: number): Promise<Buffer> {
    const length = await this.u64()
    if (length > BigInt(most)) throw this.broken(`${this.what} has a string of ${length} bytes, at most ${most}`)
    return await this.bytes(Number(length))
  }

  /** Reads a string as UTF-8 text. */
  async text(most: number): Promise<string> {
    return decoder.decode(await this.#string(most))
  }

  /** Reads a string that is a name, byte for byte, so that different names stay different. */
  async name(most: number): Promise<string> {
    return (await this.#string(most)).toString('latin1')
  }

  /** Skips `n` bytes without reading them. They may be more than a window. */
  skip(n: bigint): void {
    if (n > BigInt(this.left)) throw this.broken(`${this.what} needs ${n} bytes, but only ${this.left} are left`)
    this.#check(Number(n))
    this.#next += Number(n)
    if (this.#next > this.#filled) {
      this.#start += this.#next
      this.#next = 0
      this.#filled = 0
    }
  }

  /** Skips `n` strings. */
  async skipStrings(n: number): Promise<void> {
    for (let i = 0; i < n; i++) {
      if (!this.#has(8)) await this.#fill(8)
      this.#next += 8
      // most strings are short and in the window, and two 32-bit halves are ten times as fast as a bigint
      const low = this.#window.readUInt32LE(this.#next - 8)
      const high = this.#window.readUInt32LE(this.#next - 4)
      if (high === 0 && this.#has(low)) this.#next += low
      else this.skip((BigInt(high) << 32n) | BigInt(low))
    }
  }
}
