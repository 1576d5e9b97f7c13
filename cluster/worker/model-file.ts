/** One file of a worker's `models/` directory. */
import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { fail } from '../../api/errors.js'
import {
  type Attributes,
  type Changes,
  type Context,
  type File,
  newQid,
  type Opened,
  type Owner,
} from '../../fs/file.js'
import { OREAD, OTRUNC, type Qid } from '../../fs/wire/protocol.js'
import { fileError } from './file-error.js'
import type { Upload } from './upload.js'

/** What a model's file needs from its store. */
export interface Shelf {
  readonly owner: Owner
  /** Returns where the model of that name is now, and whether it may be replaced or removed there. */
  locate(name: string): Promise<Found | undefined>
  /** Starts replacing the model of that name; `replacing` is set until that has ended. */
  replace(file: ModelFile, truncated: boolean, user: string): Promise<Upload>
  unlink(name: string): Promise<void>
}

/** A model's file as it was found on the disk. */
export interface Found {
  readonly path: string
  readonly writable: boolean
  readonly dev: number
  readonly ino: number
  readonly size: number
  readonly mtimeMs: number
  readonly atimeMs: number
}

/** An open file of the host that several readers share, so that many fids cost one descriptor. */
interface Shared {
  readonly dev: number
  readonly ino: number
  readonly file: FileHandle
  readers: number
}

/** One name in models/: the bytes of a file on the disk, or of an upload that only its own user can see yet. */
export class ModelFile implements File {
  readonly #path = newQid().path
  #version = 0
  /** Set while the file is being created. */
  upload: Upload | undefined
  /** Set while the file is being replaced: O_TRUNC may come as a separate request after the open. */
  replacing: Upload | undefined
  #shared: Shared | undefined
  #opening: Promise<unknown> = Promise.resolve()

  constructor(
    readonly name: string,
    private readonly shelf: Shelf,
  ) {}

  /** The version changes with size and time, so that clients with a cache notice a replaced model. */
  get qid(): Qid {
    return { type: 0, version: this.#version, path: this.#path }
  }

  /** Updates the version from what was found on the disk. */
  saw(found: Found): Found {
    this.#version = ((Math.trunc(found.mtimeMs) ^ found.size ^ found.ino) >>> 0) | 1
    return found
  }

  /** The file as it is on the disk, or, if it was removed while it is being read, as its readers see it. */
  async #present(): Promise<Pick<Found, 'size' | 'mtimeMs' | 'atimeMs' | 'writable'>> {
    const found = await this.shelf.locate(this.name)
    if (found) {
      this.saw(found)
      return found
    }
    if (!this.#shared) throw fail('notFound', this.name)
    const { size, mtimeMs, atimeMs } = await this.#shared.file.stat()
    return { size, mtimeMs, atimeMs, writable: false }
  }

  async attributes(): Promise<Attributes> {
    const found = this.upload ? { ...(await this.upload.stat()), writable: true } : await this.#present()
    return {
      // the group are the admins, who may replace a model just as they may remove it
      mode: found.writable ? 0o664 : 0o444,
      owner: this.shelf.owner,
      length: found.size,
      mtime: Math.trunc(found.mtimeMs / 1000),
      atime: Math.trunc(found.atimeMs / 1000),
    }
  }

  async open(mode: number, ctx: Context): Promise<Opened> {
    if (this.upload) throw fail('fileBusy', `${this.name} is being written`)
    if ((mode & 3) === OREAD && !(mode & OTRUNC)) return await this.#read()
    return await this.shelf.replace(this, (mode & OTRUNC) !== 0, ctx.user.name)
  }

  async #read(): Promise<Opened> {
    const opening = this.#opening.then(() => this.#share())
    this.#opening = opening.catch(() => undefined)
    const shared = await opening
    let closed = false
    return {
      async read(offset, count) {
        const { buffer, bytesRead } = await shared.file.read(Buffer.allocUnsafe(count), 0, count, offset)
        return buffer.subarray(0, bytesRead)
      },
      close: async () => {
        if (closed) return
        closed = true
        if (--shared.readers > 0) return
        if (this.#shared === shared) this.#shared = undefined
        await shared.file.close()
      },
    }
  }

  async #share(): Promise<Shared> {
    const found = await this.shelf.locate(this.name)
    if (!found) throw fail('notFound', this.name)
    const { path, dev, ino } = this.saw(found)
    const now = this.#shared
    if (now && now.dev === dev && now.ino === ino && now.readers > 0) {
      now.readers++
      return now
    }
    // O_NONBLOCK: if a named pipe has taken its place meanwhile, opening it must not wait
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch(e => {
      throw fileError(e, this.name)
    })
    try {
      const stat = await file.stat()
      if (!stat.isFile()) throw fail('notFound', this.name)
      this.#shared = { dev: stat.dev, ino: stat.ino, file, readers: 1 }
      return this.#shared
    } catch (error) {
      await file.close()
      throw error
    }
  }

  async remove(): Promise<void> {
    await this.shelf.unlink(this.name)
  }

  /** Only a file that is being written can change its length; a finished model can only be replaced as a whole. */
  async truncate(ctx: Context): Promise<void> {
    await this.#resize(0, ctx)
  }

  async change({ name, length }: Changes, ctx: Context): Promise<void> {
    if (name !== undefined) throw fail('notPermitted', 'a model cannot be renamed: copy it, then remove the original')
    if (length !== undefined) await this.#resize(length, ctx)
  }

  async #resize(length: number, ctx: Context): Promise<void> {
    const upload = this.upload ?? this.replacing
    if (upload?.user !== ctx.user.name)
      throw fail('notPermitted', 'a model can only be replaced as a whole: open it for writing')
    await upload.truncate(length)
  }
}
