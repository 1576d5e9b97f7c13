/** Clone files: each open creates something new. */

import { andThen, type MaybePromise } from '../base/maybe-promise.js'
import { type Context, type File, newQid, type Opened, type Owner } from '../file.js'
import { now, slice } from './content.js'

/** What an open of a clone file creates: its name, and the ctl file that the fid then stands for. */
export interface Cloned {
  name: string
  ctl: File
}

/**
 * A clone file as in ip(3): an open (never a stat or a listing) creates something new, and the open fid then stands for
 * that thing's ctl file, except that reading it returns the new thing's name.
 */
export function clone(make: (ctx: Context) => MaybePromise<Cloned>, owner: Owner, mode = 0o666): File {
  const qid = newQid()
  return {
    qid,
    attributes: () => ({ mode, owner, length: 0, mtime: now(), atime: now() }),
    open(how, ctx): MaybePromise<Opened> {
      return andThen(make(ctx), ({ name, ctl }) =>
        // the length of ctl is not that of what this open reads
        andThen(ctl.open(how, ctx), ({ extent: _, ...opened }) => {
          const content = new TextEncoder().encode(`${name}\n`)
          return { ...opened, read: (offset: number, count: number) => slice(content, offset, count) }
        }),
      )
    },
  }
}
