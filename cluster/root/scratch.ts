import { fail } from '../../fs/errors.js'
import { type Context, type Created, type Entry, type File, newQid, type Opened, type Owner } from '../../fs/file.js'
import { now, slice } from '../../fs/kit/content.js'
import { DMDIR, OREAD, OTRUNC, OWRITE } from '../../fs/protocol.js'
import type { Hold } from './budget.js'
import { MAX_SCRATCH, MAX_SCRATCH_FILES } from './limits.js'

/** One of them: its bytes, which its writers place by offset. */
interface Kept {
  name: string
  content: Uint8Array<ArrayBuffer>
  /** It has no name any more: who still has it open finds it empty, and cannot write. */
  gone: boolean
  readonly file: File
}

/** Reads a file to its end. */
async function readAll(file: File, ctx: Context): Promise<Uint8Array> {
  const opened = await file.open(OREAD, ctx)
  try {
    // made at once, whole: these are files of generated text
    return (await opened.read?.(0, Number.MAX_SAFE_INTEGER, ctx))?.slice() ?? new Uint8Array(0)
  } finally {
    await opened.close?.()
  }
}

/** Replaces what a file has, as `>` does. @throws what its write or close fails with */
async function writeAll(file: File, content: Uint8Array, ctx: Context): Promise<void> {
  const opened = await file.open(OWRITE | OTRUNC, ctx)
  try {
    if (content.length) await opened.write?.(0, content, ctx)
    await opened.sync?.(ctx)
  } finally {
    await opened.close?.()
  }
}

/**
 * The files that programs make beside one that they change: sed's new text, an editor's backup and swap file. They are in memory,
 * few and small, and end with the directory. One that is given the name of an editable file becomes that file's content; an editable
 * file that is given another name leaves a copy of itself under that name, and stays.
 */
export class Scratch {
  readonly #kept = new Map<string, Kept>()
  #ended = false

  /**
   * @param editable the files whose content they may become, by name
   * @param taken whether the directory has a file of its own of that name
   * @param hold counts their bytes
   */
  constructor(
    readonly owner: Owner,
    readonly onOpen: () => () => void,
    readonly editable: ReadonlyMap<string, File>,
    readonly taken: (name: string) => boolean,
    readonly hold: Hold,
  ) {}

  walk(name: string): File | undefined {
    return this.#kept.get(name)?.file
  }

  *entries(): Iterable<Entry> {
    for (const [name, { file }] of this.#kept) yield [name, file]
  }

  create(name: string, perm: number, how: number, ctx: Context): Created | Promise<Created> {
    if (this.#ended) throw fail('notFound', 'the session is closed')
    if (perm & DMDIR) throw fail('permission')
    if (this.#kept.has(name) || this.taken(name)) throw fail('exists')
    const { file } = this.#make(name, new Uint8Array(0))
    const opened = file.open(how, ctx)
    return opened instanceof Promise ? opened.then(opened => ({ file, opened })) : { file, opened }
  }

  /** What an editable file of that name does when it is renamed; nothing for another. */
  changes(name: string): Pick<File, 'change'> {
    const file = this.editable.get(name)
    if (!file) return {}
    return {
      change: async ({ name: to, length }, ctx) => {
        if (length) throw fail('notPermitted', 'only to length 0')
        if (to === undefined) return
        if (this.taken(to)) throw fail('notPermitted', 'this file keeps its name')
        const content = await readAll(file, ctx)
        const before = this.#kept.get(to)
        if (before) this.#forget(before)
        this.#make(to, content.slice())
      },
    }
  }

  /** The directory has ended. */
  end(): void {
    this.#ended = true
    for (const kept of [...this.#kept.values()]) this.#forget(kept)
  }

  get #size(): number {
    let size = 0
    for (const { content } of this.#kept.values()) size += content.length
    return size
  }

  #room(more: number): void {
    if (this.#size + more > MAX_SCRATCH)
      throw fail('tooLarge', `files beside a session's own, over ${MAX_SCRATCH} bytes in all`)
    this.hold.resize(this.#size + more)
  }

  #make(name: string, content: Uint8Array<ArrayBuffer>): Kept {
    if (this.#kept.size >= MAX_SCRATCH_FILES)
      throw fail('diskFull', `a session has room for ${MAX_SCRATCH_FILES} files beside its own: remove some`)
    this.#room(content.length)
    const { owner } = this
    let mtime = now()
    const kept: Kept = {
      name,
      content,
      gone: false,
      file: {
        qid: newQid(),
        attributes: () => ({ mode: 0o600, owner, length: kept.content.length, mtime, atime: mtime }),
        truncate: () => resize(0),
        remove: () => void this.#forget(kept),
        change: async ({ name: to, length }, ctx) => {
          if (length) resize(length)
          if (to !== undefined) await this.#rename(kept, to, ctx)
        },
        open: (mode): Opened => {
          if (mode & OTRUNC) resize(0)
          const close = this.onOpen()
          return {
            read: (offset, count) => slice(kept.content, offset, count),
            write: (offset, data) => {
              if (kept.gone) throw fail('notFound', 'it was removed while it was open')
              const end = offset + data.length
              if (end > kept.content.length) resize(end)
              // a copy: readers hold views on what there was
              kept.content = kept.content.slice()
              kept.content.set(data, offset)
              mtime = now()
              return data.length
            },
            close,
          }
        },
      },
    }
    const resize = (length: number) => {
      if (kept.gone) return
      if (length > kept.content.length) this.#room(length - kept.content.length)
      const content = new Uint8Array(length)
      content.set(kept.content.subarray(0, length))
      kept.content = content
      mtime = now()
    }
    this.#kept.set(name, kept)
    return kept
  }

  /** Lets go of its bytes, too: whoever has it open would keep them, and nobody would count them. */
  #forget(kept: Kept): void {
    if (this.#kept.get(kept.name) === kept) this.#kept.delete(kept.name)
    kept.content = new Uint8Array(0)
    kept.gone = true
    this.hold.resize(this.#size)
  }

  async #rename(kept: Kept, to: string, ctx: Context): Promise<void> {
    if (kept.gone) throw fail('notFound', 'it was removed while it was open')
    const file = this.editable.get(to)
    if (!file) {
      if (this.taken(to)) throw fail('notPermitted', `${to} is no file whose content can be replaced`)
      this.#kept.delete(kept.name)
      const before = this.#kept.get(to)
      kept.name = to
      this.#kept.set(to, kept)
      if (before) this.#forget(before)
      return
    }
    const before = await readAll(file, ctx)
    try {
      await writeAll(file, kept.content, ctx)
    } catch (error) {
      // a line that is no message: what was there stays, as a rename that fails changes nothing
      await writeAll(file, before, ctx).catch(() => undefined)
      throw error
    }
    this.#forget(kept)
  }
}
