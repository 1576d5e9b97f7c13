/** A host's store of models, and the `models/` directory that shows it. */
import { createHash } from 'node:crypto'
import { open, readdir, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { fail } from '../../api/errors.js'
import {
  type Attributes,
  type Context,
  type Created,
  type File,
  newQid,
  type Opened,
  type Owner,
} from '../../fs/file.js'
import { makeDirectory } from '../../fs/host-directory.js'
import { DMDIR, QTDIR } from '../../fs/wire/protocol.js'
import { fileError } from './file-error.js'
import { checkModel, type GgufSummary } from './gguf.js'
import { DIGEST_CHUNK, MAX_MODELS, MAX_UPLOADS } from './limits.js'
import { type Found, ModelFile, type Shelf } from './model-file.js'
import { sweepUploads, Upload } from './upload.js'

/** A model of the store, as `list` returns it. */
export interface ModelEntry {
  /** The file's name without `.gguf`, as `load` takes it. */
  readonly name: string
  readonly size: number
  /** Its path on this host. */
  readonly path: string
  readonly architecture?: string
  /** How many tokens of context the model was trained for. */
  readonly context?: number
  /** Why it cannot be loaded, in the words of the error. */
  readonly problem?: string
}

export interface ModelStoreOptions {
  readonly owner: Owner
  readonly onchange?: (event: { kind: 'model-added' | 'model-removed'; name: string }) => void
}

const ending = '.gguf'
/**
 * Names that a client may create. Unlike elsewhere in the tree, capitals are allowed, because model files have them and
 * are known by their names elsewhere. A name has up to 200 characters, since it combines publisher, model, size and
 * quantisation.
 */
const proper = /^[A-Za-z0-9][A-Za-z0-9._-]{0,199}\.gguf$/
/** Whether a file that the host's user has put in the directory is shown: any name that a 9P client can give. */
export const isModelName = (name: string): boolean =>
  name.endsWith(ending) && !/^\.|[/\p{Cc}]/u.test(name) && Buffer.byteLength(name) <= 255
/** The second and later parts of a split model, which are not listed by themselves. */
const laterPart = /-(?!00001)\d{5}-of-\d{5}\.gguf$/

/**
 * A host's models: directories of *.gguf files, shown as one. Uploads go to the first directory; the others are
 * read-only, and a name in an earlier directory hides the same name in a later one. The directories belong to the
 * server's owner, so symbolic links in them are followed: large models can be stored elsewhere. The directories are
 * read again at each request.
 */
export class ModelStore implements Shelf {
  readonly root: File
  readonly owner: Owner
  readonly #dirs: readonly string[]
  readonly #onchange: NonNullable<ModelStoreOptions['onchange']>
  /** One File per name, for as long as the name exists. */
  readonly #files = new Map<string, ModelFile>()
  /** Models being created, by name: visible to the user who creates them, not yet to others. */
  readonly #making = new Map<string, ModelFile>()
  /** Models whose replacement is about to start: one at a time. */
  readonly #beginning = new Set<ModelFile>()
  #uploads = 0
  readonly #summaries = new Map<string, Promise<GgufSummary>>()
  readonly #digests = new Map<string, Promise<string>>()
  readonly #swept: Promise<void>

  /**
   * @param dirs the directories with models; the first is created by the first upload, and is cleared of files that a
   *   killed process left
   */
  constructor(dirs: string | readonly string[], o: ModelStoreOptions) {
    this.#dirs = typeof dirs === 'string' ? [dirs] : dirs
    this.owner = o.owner
    this.#onchange = o.onchange ?? (() => undefined)
    this.#swept = sweepUploads(this.#home)
    this.root = new ModelDirectory(this)
  }

  get #home(): string {
    return this.#dirs[0]!
  }

  /** All models, by name. Each is checked once, and again when it changes. */
  async list(): Promise<ModelEntry[]> {
    const entries: ModelEntry[] = []
    for (const name of await this.names()) {
      if (laterPart.test(name)) continue
      const found = await this.locate(name)
      if (!found) continue
      const base = { name: name.slice(0, -ending.length), size: found.size, path: found.path }
      try {
        const { architecture, context } = await this.#summary(found)
        entries.push({ ...base, architecture, ...(context !== undefined && { context }) })
      } catch (e) {
        entries.push({ ...base, problem: fileError(e, name).message })
      }
    }
    return entries
  }

  /** Finds the model of that name, with or without `.gguf`. @returns its path, or undefined */
  async find(name: string): Promise<string | undefined> {
    for (const full of name.endsWith(ending) ? [name, name + ending] : [name + ending]) {
      const found = isModelName(full) ? await this.locate(full) : undefined
      if (found) return found.path
    }
    return undefined
  }

  /**
   * Returns `sha256:…` of a file. It is read in pieces, between which other work can run, and remembered until the
   * file's size or time changes.
   */
  async digest(path: string): Promise<string> {
    const { dev, ino, size, mtimeMs } = await stat(path)
    return await remembered(this.#digests, `${dev}:${ino}:${size}:${mtimeMs}`, () => sha256(path))
  }

  #summary(found: Found): Promise<GgufSummary> {
    const { dev, ino, size, mtimeMs, path } = found
    // the path is part of the key: the other parts of a split model are found through it
    return remembered(this.#summaries, `${dev}:${ino}:${size}:${mtimeMs}:${path}`, () => checkModel(path))
  }

  /** The names in all directories, sorted. */
  async names(): Promise<string[]> {
    await this.#swept
    const names = new Set<string>()
    for (const dir of this.#dirs) {
      for (const name of await readdir(dir).catch(() => [])) if (isModelName(name)) names.add(name)
    }
    for (const name of this.#files.keys()) if (!names.has(name)) this.#files.delete(name)
    return [...names].sort().slice(0, MAX_MODELS)
  }

  /** When a name was last added or removed, in seconds since 1970. */
  async changed(): Promise<number> {
    const times = await Promise.all(
      this.#dirs.map(dir =>
        stat(dir).then(
          s => s.mtimeMs / 1000,
          () => 0,
        ),
      ),
    )
    return Math.trunc(Math.max(...times))
  }

  async locate(name: string): Promise<Found | undefined> {
    for (const [i, dir] of this.#dirs.entries()) {
      const path = join(dir, name)
      const found = await stat(path).catch(() => undefined)
      if (found?.isFile()) {
        const { dev, ino, size, mtimeMs, atimeMs } = found
        return { path, writable: i === 0, dev, ino, size, mtimeMs, atimeMs }
      }
    }
    return undefined
  }

  /** The File of that name: an existing model, or one that this user is uploading. */
  async file(name: string, user?: string): Promise<ModelFile | undefined> {
    const making = this.#making.get(name)
    if (making?.upload && making.upload.user === user) return making
    const found = isModelName(name) ? await this.locate(name) : undefined
    if (!found) {
      this.#files.delete(name)
      return undefined
    }
    let file = this.#files.get(name)
    if (!file) this.#files.set(name, (file = new ModelFile(name, this)))
    file.saw(found)
    return file
  }

  /** Starts uploading a new model. */
  async create(name: string, user: string): Promise<Created> {
    if (!proper.test(name)) {
      throw fail(
        'badName',
        `${name}: expected letters, digits, ".", "_" and "-", beginning with a letter or digit, at most 200, and then ".gguf"`,
      )
    }
    if (this.#making.has(name)) throw fail('fileBusy', `${name} is being written`)
    const file = new ModelFile(name, this)
    this.#making.set(name, file)
    try {
      if (await this.locate(name)) throw fail('exists', name)
      const upload = await this.#begin(name, user, true, installed => {
        file.upload = undefined
        this.#making.delete(name)
        if (installed) this.#files.set(name, file)
      })
      file.upload = upload
      return { file, opened: upload }
    } catch (e) {
      this.#making.delete(name)
      throw e
    }
  }

  async replace(file: ModelFile, truncated: boolean, user: string): Promise<Upload> {
    if (file.replacing || this.#beginning.has(file)) throw fail('fileBusy', `${file.name} is being replaced`)
    this.#beginning.add(file)
    try {
      const upload = await this.#begin(file.name, user, truncated, () => {
        file.replacing = undefined
      })
      file.replacing = upload
      return upload
    } finally {
      this.#beginning.delete(file)
    }
  }

  async unlink(name: string): Promise<void> {
    const found = await this.locate(name)
    if (!found) throw fail('notFound', name)
    if (!found.writable) throw fail('notPermitted', `${name} is not in the upload directory`)
    await unlink(found.path).catch(e => {
      throw fileError(e, name)
    })
    this.#files.delete(name)
    this.#onchange({ kind: 'model-removed', name: name.slice(0, -ending.length) })
  }

  async #begin(name: string, user: string, touched: boolean, ended: (installed: boolean) => void): Promise<Upload> {
    if (this.#uploads >= MAX_UPLOADS) throw fail('tooManyUploads', `${MAX_UPLOADS}; wait until one ends`)
    this.#uploads++
    try {
      await this.#swept
      try {
        makeDirectory(this.#home, 0o755)
      } catch (e) {
        throw fileError(e as Error, name)
      }
      return await Upload.begin(this.#home, name, user, touched, installed => {
        this.#uploads--
        ended(installed)
        if (installed) this.#onchange({ kind: 'model-added', name: name.slice(0, -ending.length) })
      })
    } catch (e) {
      this.#uploads--
      throw e
    }
  }
}

/** The models/ directory itself. */
class ModelDirectory implements File {
  readonly qid = newQid(QTDIR)

  constructor(private readonly store: ModelStore) {}

  async attributes(): Promise<Attributes> {
    const time = await this.store.changed()
    return { mode: 0o775, owner: this.store.owner, length: 0, mtime: time, atime: time }
  }

  walk(name: string, ctx: Context): Promise<File | undefined> {
    return this.store.file(name, ctx.user.name)
  }

  open(): Opened {
    return {
      list: async ctx => {
        const entries: [string, File][] = []
        for (const name of await this.store.names()) {
          const file = await this.store.file(name, ctx.user.name)
          if (file) entries.push([name, file])
        }
        return entries
      },
    }
  }

  async create(name: string, perm: number, _mode: number, ctx: Context): Promise<Created> {
    if (perm & DMDIR) throw fail('notPermitted', 'models/ cannot have subdirectories')
    return await this.store.create(name, ctx.user.name)
  }
}

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256')
  const file = await open(path)
  try {
    const chunk = Buffer.allocUnsafe(DIGEST_CHUNK)
    for (let n: number; (n = (await file.read(chunk, 0, chunk.length)).bytesRead) > 0; )
      hash.update(chunk.subarray(0, n))
  } finally {
    await file.close()
  }
  return `sha256:${hash.digest('hex')}`
}

/**
 * Returns the value of a key, computed once on the first request. Failures are not remembered, and the oldest value is
 * dropped beyond MAX_MODELS.
 */
function remembered<T>(cache: Map<string, Promise<T>>, key: string, make: () => Promise<T>): Promise<T> {
  let value = cache.get(key)
  if (!value) {
    value = make()
    cache.set(key, value)
    value.catch(() => cache.delete(key))
    if (cache.size > MAX_MODELS) cache.delete(cache.keys().next().value!)
  }
  return value
}
