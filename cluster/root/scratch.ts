/** The temporary files that programs make beside the files of a session while they edit them. */
import { fail } from '../../api/errors.js'
import { type Context, type Created, type Entry, type File, newQid, type Opened, type Owner } from '../../fs/file.js'
import { now, slice } from '../../fs/kit/content.js'
import { DMDIR, OREAD, OTRUNC, OWRITE } from '../../fs/wire/protocol.js'
import type { BudgetShare } from './budget.js'
import { MAX_SCRATCH, MAX_SCRATCH_FILES } from './limits.js'

/** One such file: its bytes, which writers place by offset. */
interface Kept {
  name: string
  content: Uint8Array<ArrayBuffer>
  /**
   * It was removed, or replaced by a rename. A program that still has it open finds it empty and cannot write to it.
   */
  gone: boolean
  readonly file: File
}

/** Reads a file to its end. */
async function readAll(file: File, ctx: Context): Promise<Uint8Array> {
  const opened = await file.open(OREAD, ctx)
  try {
    // the files are generated as a whole, so one read returns everything
    return (await opened.read?.(0, Number.MAX_SAFE_INTEGER, ctx))?.slice() ?? new Uint8Array(0)
  } finally {
    await opened.close?.()
  }
}

/** Replaces the content of a file, as `>` does. @throws the error of the write or the close */
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
 * The files that programs make beside a file that they change: sed's new text, an editor's backup and swap file. They
 * are in memory, few and small, and end with the directory. A file that is renamed to an editable file becomes that
 * file's content. An editable file that is renamed stays, and leaves a copy of itself under the new name.
 */
export class Scratch {
  readonly #kept = new Map<string, Kept>()
  #ended = false

  /**
   * @param editable the files whose content they may become, by name
   * @param taken returns whether the directory has a file of its own of that name
   * @param hold counts their bytes
   */
  constructor(
    readonly owner: Owner,
    readonly onOpen: () => () => void,
    readonly editable: ReadonlyMap<string, File>,
    readonly taken: (name: string) => boolean,
    readonly hold: BudgetShare,
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

  /** Implements the rename of the editable file of that name; empty for any other file. */
  changes(name: string): Pick<File, 'change'> {
    const file = this.editable.get(name)
    if (!file) return {}
    return {
      change: async ({ name: to, length }, ctx) => {
        if (length) throw fail('notPermitted', 'a file can only be truncated to length 0')
        if (to === undefined) return
        if (this.taken(to)) throw fail('notPermitted', `${to} cannot be replaced`)
        const content = await readAll(file, ctx)
        const before = this.#kept.get(to)
        if (before) this.#forget(before)
        this.#make(to, content.slice())
      },
    }
  }

  /** Removes all files: the directory has ended. */
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
      throw fail('tooLarge', `a session has room for ${MAX_SCRATCH} bytes of files of yours; remove some`)
    this.hold.resize(this.#size + more)
  }

  #make(name: string, content: Uint8Array<ArrayBuffer>): Kept {
    if (this.#kept.size >= MAX_SCRATCH_FILES)
      throw fail('diskFull', `a session has room for ${MAX_SCRATCH_FILES} files of yours; remove some`)
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
              // write to a copy: readers hold views of the old content
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

  /** Also drops the bytes: a program that has the file open would keep them in memory, uncounted. */
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
      if (this.taken(to)) throw fail('notPermitted', `${to} cannot be replaced`)
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
      // e.g. a line that is not a message: restore the old content, since a rename that fails changes nothing
      await writeAll(file, before, ctx).catch(() => undefined)
      throw error
    }
    this.#forget(kept)
  }
}
