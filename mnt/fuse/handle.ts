import type { Fid } from '../../fs/client.js'
import { timeLimit } from '../../fs/clock.js'
import { fail } from '../../fs/errors.js'
import { IOHDRSZ } from '../../fs/limits.js'
import type { Stat } from '../../fs/protocol.js'
import type { Node } from './nodes.js'

/** How long a read may take that is not to wait, in ms: more than a busy server or a far one needs for what it has. */
const NONBLOCK_MS = 1000

/** An open file or directory, by a fid of its own. */
export class Handle {
  /** Of a directory: what it listed when last read from its beginning. */
  entries?: readonly Stat[]
  /** Where a reader is who reads on, in pieces of that size, and perhaps the next piece. */
  #next: { offset: number; size: number; data?: Promise<Uint8Array> } | undefined

  constructor(
    readonly fid: Fid,
    readonly node: Node,
    readonly writes: boolean,
    /** Who opened it. */
    readonly uid: number,
  ) {
    node.handles.add(this)
  }

  /**
   * Up to `size` bytes, fewer only where the file gives no more now.
   * @param soon the program does not want to wait (O_NONBLOCK)
   * @throws FsError `nothing yet, try again` then, and what the server says
   */
  async read(offset: number, size: number, soon: boolean, signal: AbortSignal): Promise<Uint8Array> {
    const { fid, node } = this
    const data = await (soon
      ? this.#soon(offset, size, signal)
      : (this.#ahead(offset, size) ?? fid.read(offset, size, signal)))
    const most = fid.client.msize - IOHDRSZ
    const whole = Number(node.stat?.size ?? 0)
    // A message of this connection carries less than the kernel wants: where it came full there is more. And so is there within
    // the length of a file that has one, whatever a connection behind the server carries. A short answer would be the end of the
    // file to who maps it into memory, or copies it there (copy_file_range(2)).
    const more = (last: number, length: number) => last === most || (last > 0 && offset + length < whole)
    if (data.length >= size || !more(data.length, data.length))
      return data.length > size ? data.subarray(0, size) : data
    const parts = [data]
    let length = data.length
    for (let last = length; length < size && more(last, length); length += last) {
      // what came already is not lost for what fails behind it: that is for the next read
      const part = await fid.read(offset + length, size - length, signal).catch(() => new Uint8Array(0))
      parts.push(part)
      last = part.length
    }
    return Buffer.concat(parts, length)
  }

  /**
   * What was asked for before the kernel did, if it is this; and asks for what comes next. Only of files that are read from end to
   * end and have a length: those are models and logs, whose bytes never change (and not 9P2000.L's files, whose do).
   */
  #ahead(offset: number, size: number): Promise<Uint8Array> | undefined {
    const { fid, node } = this
    const next = this.#next
    const end = offset + size
    const had = next?.offset === offset && next.size === size ? next.data : undefined
    this.#next = { offset: end, size }
    if (!next || next.offset !== offset || fid.linux || end + size > Number(node.stat?.size ?? 0)) return had
    const data = fid.read(end, size)
    data.catch(() => {}) // whoever asks for it is told
    this.#next.data = data
    return had
  }

  /** For a program that will not wait (`grep -r` opens what it finds so): what has not come in a moment is not there yet. */
  async #soon(offset: number, size: number, signal: AbortSignal): Promise<Uint8Array> {
    const late = timeLimit(NONBLOCK_MS)
    try {
      return await this.fid.read(offset, size, AbortSignal.any([signal, late]))
    } catch (error) {
      // 9P has no word for it
      throw late.aborted && !signal.aborted ? fail('tryAgain') : error
    }
  }
}
