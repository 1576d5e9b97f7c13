import { type Context, type Extent, type File, newQid, type Opened, type Owner } from '../file.js'
import { chain, type Maybe } from '../maybe.js'
import { OREAD } from '../protocol.js'

const encoder = new TextEncoder()

/** The time of day in the unit of stat: seconds since 1970. */
export const now = (): number => Math.floor(Date.now() / 1000)

/** Up to `count` bytes of a whole content at `offset`. */
export function slice(content: Uint8Array, offset: number, count: number): Uint8Array {
  return content.subarray(Math.min(offset, content.length), Math.min(offset + count, content.length))
}

/** Asks once, at the first read, and answers every read from that: reads at later offsets agree with it. */
export function once(ask: (ctx: Context) => Maybe<Uint8Array>): NonNullable<Opened['read']> {
  let content: Maybe<Uint8Array> | undefined
  let counted = false
  return (offset, count, ctx) => {
    content ??= ask(ctx)
    if (content instanceof Promise)
      // a flushed first read must not spoil the next: the question is put again
      content.catch(() => {
        content = undefined
      })
    return chain(content, whole => {
      if (!counted) {
        const mine = content
        // where there is no room it is not kept
        content = undefined
        ctx.holding?.grow(whole.length)
        content = mine
        counted = true
      }
      return slice(whole, offset, count)
    })
  }
}

/** FNV-1a, 32 bits: tells one content from the next. */
function hash(content: Uint8Array): number {
  let h = 0x811c9dc5
  for (const byte of content) h = Math.imul(h ^ byte, 0x01000193)
  return h >>> 0
}

/**
 * The reads, and the length and time, of a file whose content is made when somebody asks. The time is when the content was first
 * seen as it is: programs that compare times (editors, tar) take a file that says `now` each time for one that somebody changes.
 */
export class Made {
  #seen = { hash: 0, length: -1, mtime: 0 }

  constructor(readonly make: (ctx: Context) => Maybe<Uint8Array>) {}

  /** Of what an open would give now. */
  extent(ctx: Context): Maybe<Extent> {
    return chain(this.make(ctx), content => this.#measure(content))
  }

  /** What an open for reading (or, by its mode, reading and writing) has of it: made once, at its first read or stat. */
  open(mode: number): Pick<Opened, 'read' | 'extent'> {
    const read = once(this.make)
    // who writes as well may read what came of it: a stat between must not fix what the read gives
    if ((mode & 3) !== OREAD) return { read }
    return { read, extent: ctx => chain(read(0, Number.MAX_SAFE_INTEGER, ctx), content => this.#measure(content)) }
  }

  #measure(content: Uint8Array): Extent {
    const seen = { hash: hash(content), length: content.length }
    if (seen.hash !== this.#seen.hash || seen.length !== this.#seen.length) this.#seen = { ...seen, mtime: now() }
    return this.#seen
  }
}

export interface ContentOptions {
  owner: Owner
  /** Permission bits; 0444 unless given. */
  mode?: number
  /** Called at each open; what it returns is called at the close. */
  onOpen?: () => () => void
}

/** A file whose content is made at the first read or stat of each open (ctx tells for whom). */
export function text(make: (ctx: Context) => Maybe<string>, options: ContentOptions): File {
  const qid = newQid()
  const { owner, mode = 0o444 } = options
  const made = new Made(ctx => chain(make(ctx), s => encoder.encode(s)))
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

/** A file of fixed bytes, with their true length. */
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
