import { type Context, type File, newQid, type Opened, type Owner } from '../file.js'
import { chain, type Maybe } from '../maybe.js'

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
  return (offset, count, ctx) => {
    content ??= ask(ctx)
    if (content instanceof Promise)
      // a flushed first read must not spoil the next: the question is put again
      content.catch(() => {
        content = undefined
      })
    return chain(content, whole => slice(whole, offset, count))
  }
}

export interface ContentOptions {
  owner: Owner
  /** Permission bits; 0444 unless given. */
  mode?: number
  /** Called at each open; what it returns is called at the close. */
  onOpen?: () => () => void
}

/** A file whose content is made anew at the first read of each open (ctx tells for whom). Its length shows as 0. */
export function text(make: (ctx: Context) => Maybe<string>, options: ContentOptions): File {
  const qid = newQid()
  const { owner, mode = 0o444 } = options
  return {
    qid,
    attributes: () => ({ mode, owner, length: 0, mtime: now(), atime: now() }),
    open() {
      const close = options.onOpen?.()
      return { read: once(ctx => chain(make(ctx), s => encoder.encode(s))), ...(close && { close }) }
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
