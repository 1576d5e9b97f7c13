/** Directories: of a fixed map, generated on demand, and unions of several. */
import type { Clock } from '../base/clock.js'
import { fail } from '../base/errors.js'
import type { MaybePromise } from '../base/maybe-promise.js'
import { type Context, type Entry, type File, newQid, type Opened, type Owner } from '../file.js'
import { QTDIR } from '../wire/protocol.js'
import { now } from './content.js'
import { askAll, askFirst, PATIENCE_MS } from './fan-out.js'

/** A directory of the files in a map. The map may change later: reads and walks see its current entries. */
export function dir(entries: Map<string, File>, owner: Owner, mode = 0o555): File {
  return generated({ owner, mode, walk: name => entries.get(name), list: () => entries })
}

/** What `generated` makes a directory from. */
export interface Generated extends Pick<File, 'remove' | 'create'> {
  owner: Owner
  /** Permission bits; 0555 by default. */
  mode?: number
  walk(name: string, ctx: Context): MaybePromise<File | undefined>
  list(ctx: Context): MaybePromise<Iterable<Entry>>
  /** Called at each open; the function that it returns is called at the close. */
  onOpen?: () => () => void
}

/** A directory whose entries are computed for each walk and each listing. */
export function generated(of: Generated): File {
  const qid = newQid(QTDIR)
  const time = now()
  const { owner, mode = 0o555 } = of
  return {
    qid,
    attributes: () => ({ mode, owner, length: 0, mtime: time, atime: time }),
    walk: (name, ctx) => of.walk(name, ctx),
    open(): Opened {
      const close = of.onOpen?.()
      return { list: ctx => of.list(ctx), ...(close && { close }) }
    },
    ...(of.create && { create: of.create.bind(of) }),
    ...(of.remove && { remove: of.remove.bind(of) }),
  }
}

/**
 * Several directories as one (bind(1)): a name is looked up in order and the first directory that has it wins; a
 * listing shows each name once; a file is created in the first directory that can. A directory that fails or does not
 * answer within 3 s is skipped, unless it is the only one.
 */
export function union(dirs: () => readonly File[], owner: Owner, mode = 0o555, clock?: Clock): File {
  return generated({
    owner,
    mode,
    walk: (name, ctx) => askFirst(dirs(), PATIENCE_MS, ctx, async (d, ctx) => d.walk?.(name, ctx), clock),
    async list(ctx) {
      const seen = new Map<string, File>()
      for (const entries of await askAll(dirs(), PATIENCE_MS, ctx, entriesOf, clock))
        for (const [name, file] of entries) if (!seen.has(name)) seen.set(name, file)
      return seen
    },
    create(name, perm, how, ctx) {
      const into = dirs().find(d => d.create)
      if (!into?.create) throw fail('permission')
      return into.create(name, perm, how, ctx)
    },
  })
}

/** Opens a directory and returns its entries. */
export async function entriesOf(dir: File, ctx: Context): Promise<Entry[]> {
  const opened = await dir.open(0, ctx)
  try {
    return [...((await opened.list?.(ctx)) ?? [])]
  } finally {
    // do not wait for the close, which may fail: the entries are complete
    Promise.resolve(opened.close?.()).catch(() => undefined)
  }
}
