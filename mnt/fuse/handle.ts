/**
 * An open file or directory of a mount: reads that fill the kernel's buffer, read-ahead, and reads that must not wait.
 */

import { timeLimit } from '../../fs/base/clock.js'
import { fail } from '../../fs/base/errors.js'
import { IOHDRSZ } from '../../fs/base/limits.js'
import type { Fid } from '../../fs/client/client.js'
import type { Stat } from '../../fs/wire/protocol.js'
import type { Node, Opened } from './nodes.js'

/** How long a nonblocking read may take, in ms: a busy or distant server needs less for data that it already has. */
const NONBLOCK_MS = 1000

/** An open file or directory, with a fid of its own. */
export class Handle implements Opened {
  /** For a directory: its listing when it was last read from the beginning. */
  entries?: readonly Stat[]
  /** The read that a sequential reader makes next, and its data if that was requested ahead. */
  #next: { offset: number; size: number; data?: Promise<Uint8Array> } | undefined

  constructor(
    readonly fid: Fid,
    readonly node: Node,
    readonly writes: boolean,
    /** The user who opened it. */
    readonly uid: number,
    /** Whether to read ahead in a file that has a length. */
    readonly ahead: boolean,
  ) {
    node.handles.add(this)
  }

  /**
   * Reads up to `size` bytes; fewer only if the file has no more at this time.
   * @param soon the program does not want to wait (O_NONBLOCK)
   * @throws FsError `nothing yet, try again` if `soon` and no data arrived in time; else the server's error
   */
  async read(offset: number, size: number, soon: boolean, signal: AbortSignal): Promise<Uint8Array> {
    const { fid, node } = this
    const data = await (soon
      ? this.#soon(offset, size, signal)
      : (this.#ahead(offset, size) ?? fid.read(offset, size, signal)))
    const most = fid.client.msize - IOHDRSZ
    const whole = Number(node.stat?.size ?? 0)
    // A message of this connection may carry less than the kernel asks for, so after a full message there is more to
    // read. There is also more while the end is not reached of a file that has a length: a connection behind the server
    // may carry even less in one message. A short answer would mean end of file to a program that maps the file into
    // memory or uses copy_file_range(2).
    const more = (last: number, length: number) => last === most || (last > 0 && offset + length < whole)
    if (data.length >= size || !more(data.length, data.length))
      return data.length > size ? data.subarray(0, size) : data
    const parts = [data]
    let length = data.length
    for (let last = length; length < size && more(last, length); length += last) {
      // an error here must not lose the data read so far; the next read will report it
      const part = await fid.read(offset + length, size - length, signal).catch(() => new Uint8Array(0))
      parts.push(part)
      last = part.length
    }
    return Buffer.concat(parts, length)
  }

  /**
   * Returns the data of this read if it was requested ahead, and requests the next piece. It reads ahead only in files
   * that have a length and are read sequentially: those are models and logs, whose bytes never change.
   */
  #ahead(offset: number, size: number): Promise<Uint8Array> | undefined {
    const { fid, node } = this
    const next = this.#next
    const end = offset + size
    const had = next?.offset === offset && next.size === size ? next.data : undefined
    this.#next = { offset: end, size }
    if (!next || next.offset !== offset || !this.ahead || end + size > Number(node.stat?.size ?? 0)) return had
    const data = fid.read(end, size)
    data.catch(() => {}) // the read that takes this data gets the error
    this.#next.data = data
    return had
  }

  /**
   * Reads for a program that does not want to wait; `grep -r` opens files that way. Data that has not arrived within
   * NONBLOCK_MS counts as not there yet.
   */
  async #soon(offset: number, size: number, signal: AbortSignal): Promise<Uint8Array> {
    const late = timeLimit(NONBLOCK_MS)
    try {
      return await this.fid.read(offset, size, AbortSignal.any([signal, late]))
    } catch (error) {
      // 9P has no nonblocking read: a read that took too long becomes EAGAIN here
      throw late.aborted && !signal.aborted ? fail('tryAgain') : error
    }
  }
}
