/** Files whose content is generated for each open, and files of fixed bytes. */

import { andThen, type MaybePromise } from '../base/maybe-promise.js'
import { type Context, type Extent, type File, newQid, type Opened, type Owner } from '../file.js'
import { OREAD } from '../wire/protocol.js'

const encoder = new TextEncoder()

/** The time of day as a stat has it: seconds since 1970. */
export const now = (): number => Math.floor(Date.now() / 1000)

/** Up to `count` bytes of `content` at `offset`. */
export function slice(content: Uint8Array, offset: number, count: number): Uint8Array {
  return content.subarray(Math.min(offset, content.length), Math.min(offset + count, content.length))
}

/**
 * Generates the content once, at the first read, and answers all reads from it, so that reads at later offsets agree.
 */
export function once(ask: (ctx: Context) => MaybePromise<Uint8Array>): NonNullable<Opened['read']> {
  let content: MaybePromise<Uint8Array> | undefined
  let counted = false
  return (offset, count, ctx) => {
    content ??= ask(ctx)
    if (content instanceof Promise)
      // a flushed first read must not spoil the next one: generate the content again
      content.catch(() => {
        content = undefined
      })
    return andThen(content, whole => {
      if (!counted) {
        const mine = content
        // if there is no room, the content is not kept
        content = undefined
        ctx.holding?.grow(whole.length)
        content = mine
        counted = true
      }
      return slice(whole, offset, count)
    })
  }
}

/** FNV-1a, 32 bits: tells whether the content has changed. */
function hash(content: Uint8Array): number {
  let h = 0x811c9dc5
  for (const byte of content) h = Math.imul(h ^ byte, 0x01000193)
  return h >>> 0
}

/**
 * Generated content: its reads, length and time. The time is when the content was first seen as it is now: programs
 * that compare times (editors, tar) would take a file that always says `now` for one that someone keeps changing.
 */
export class Made {
  #seen = { hash: 0, length: -1, mtime: 0 }

  constructor(readonly make: (ctx: Context) => MaybePromise<Uint8Array>) {}

  /** The length and time of what an open would return now. */
  extent(ctx: Context): MaybePromise<Extent> {
    return andThen(this.make(ctx), content => this.#measure(content))
  }

  /** The content of one open, which is generated once, at the first read or stat. `mode` is that of the open. */
  open(mode: number): Pick<Opened, 'read' | 'extent'> {
    const read = once(this.make)
    // an open that also writes may read the result of its writes: a stat in between must not fix what the read returns
    if ((mode & 3) !== OREAD) return { read }
    return { read, extent: ctx => andThen(read(0, Number.MAX_SAFE_INTEGER, ctx), content => this.#measure(content)) }
  }

  #measure(content: Uint8Array): Extent {
    const seen = { hash: hash(content), length: content.length }
    if (seen.hash !== this.#seen.hash || seen.length !== this.#seen.length) this.#seen = { ...seen, mtime: now() }
    return this.#seen
  }
}

/** The options of `text` and `bytes`. */
export interface ContentOptions {
  owner: Owner
  /** Permission bits; 0444 by default. */
  mode?: number
  /** Called at each open; the function that it returns is called at the close. */
  onOpen?: () => () => void
}

/** A file whose content is generated at the first read or stat of each open, for the user in `ctx`. */
export function text(make: (ctx: Context) => MaybePromise<string>, options: ContentOptions): File {
  const qid = newQid()
  const { owner, mode = 0o444 } = options
  const made = new Made(ctx => andThen(make(ctx), s => encoder.encode(s)))
  return {
    qid,
    attributes: () => ({ mode, owner, length: 0, mtime: now(), atime: now() }),
    extent: ctx => made.extent(ctx),
    open(how) {
      const close = options.onOpen?.()
      return { ...made.open(how), ...(close && { close }) }
    },
  }
}

/** A file of fixed bytes, which reports their length. */
export function bytes(content: Uint8Array | string, options: ContentOptions): File {
  const qid = newQid()
  const whole = typeof content === 'string' ? encoder.encode(content) : content
  const time = now()
  const { owner, mode = 0o444 } = options
  return {
    qid,
    attributes: () => ({ mode, owner, length: whole.length, mtime: time, atime: time }),
    open: () => ({ read: (offset, count) => slice(whole, offset, count) }),
  }
}
