import { type Context, type File, newQid, type Opened, type Owner } from '../file.js'
import { chain, type Maybe } from '../maybe.js'
import { now, slice } from './content.js'

/** What opening a clone file makes: its name, and the ctl that the fid becomes. */
export interface Cloned {
  name: string
  ctl: File
}

/**
 * ip(3)'s clone: opening it (never a stat or a listing) makes something new, and the open fid is that thing's ctl, except
 * that reading it gives the new thing's name.
 */
export function clone(make: (ctx: Context) => Maybe<Cloned>, owner: Owner, mode = 0o666): File {
  const qid = newQid()
  return {
    qid,
    attributes: () => ({ mode, owner, length: 0, mtime: now(), atime: now() }),
    open(how, ctx): Maybe<Opened> {
      return chain(make(ctx), ({ name, ctl }) =>
        // ctl's length is not that of what this open reads
        chain(ctl.open(how, ctx), ({ extent: _, ...opened }) => {
          const content = new TextEncoder().encode(`${name}\n`)
          return { ...opened, read: (offset: number, count: number) => slice(content, offset, count) }
        }),
      )
    },
  }
}
