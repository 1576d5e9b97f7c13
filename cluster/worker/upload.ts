/** Uploads of models: written to a hidden file, checked, and then renamed into place. */
import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, open, readdir, rename, stat, unlink } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { FsError, fail } from '../../api/errors.js'
import type { Context, Opened } from '../../fs/file.js'
import { fileError } from './file-error.js'
import { checkGguf } from './gguf.js'
import { STALE_UPLOAD_MS } from './limits.js'

const host = hostname().replace(/[^A-Za-z0-9-]/g, '')
const prefix = '.upload-'

/**
 * A model being uploaded. It is written to a hidden file beside its place, checked when the writer says that it is
 * complete (sync, or else close), and only then renamed. A client that reads the model that it replaces keeps reading
 * the old file. If anything fails, close leaves nothing behind.
 */
export class Upload implements Opened {
  #state: 'open' | 'installed' | 'gone' = 'open'
  /** Whether anything is to be installed at all, and whether anything was written since the last check. */
  #touched: boolean
  #unchecked = false
  /** Why it cannot be installed. */
  #problem: FsError | undefined
  /** Calls may overlap; their operations on the file run one after another. */
  #last: Promise<unknown> = Promise.resolve()

  private constructor(
    readonly name: string,
    /** The user who writes it. */
    readonly user: string,
    private readonly path: string,
    private readonly beside: string,
    private readonly file: FileHandle,
    private readonly ended: (installed: boolean) => void,
    touched: boolean,
  ) {
    this.#touched = touched
  }

  /**
   * Starts an upload.
   * @param dir the directory of the model; must exist
   * @param touched whether an upload that gets no data is meant as an empty file; false if the file was only opened and
   *   perhaps nothing will be written
   * @param ended called once, when the upload is in place or gone
   */
  static async begin(
    dir: string,
    name: string,
    user: string,
    touched: boolean,
    ended: (installed: boolean) => void,
  ): Promise<Upload> {
    const beside = join(dir, `${prefix}${host}.${process.pid}.${randomBytes(8).toString('hex')}`)
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
    const file = await open(beside, flags, 0o600).catch(e => {
      throw fileError(e, name)
    })
    return new Upload(name, user, join(dir, name), beside, file, ended, touched)
  }

  #inTurn<T>(what: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(what)
    this.#last = turn.catch(() => undefined)
    return turn
  }

  #writable(): void {
    if (this.#state === 'gone') throw this.#problem ?? fail('notFound', this.name)
    if (this.#state === 'installed')
      throw fail('fileBusy', `${this.name} is already complete; open it again to replace it`)
  }

  async stat(): Promise<{ size: number; mtimeMs: number; atimeMs: number }> {
    if (this.#state === 'gone') throw fail('notFound', this.name)
    return await this.file.stat()
  }

  async read(offset: number, count: number): Promise<Uint8Array> {
    if (this.#state === 'gone') throw fail('notFound', this.name)
    const { buffer, bytesRead } = await this.file.read(Buffer.allocUnsafe(count), 0, count, offset)
    return buffer.subarray(0, bytesRead)
  }

  write(offset: number, data: Uint8Array): Promise<number> {
    return this.#inTurn(async () => {
      this.#writable()
      this.#touched = true
      this.#unchecked = true
      await this.#orGiveUp(async () => {
        for (let done = 0; done < data.length; ) {
          done += (await this.file.write(data, done, data.length - done, offset + done)).bytesWritten
        }
      })
      return data.length
    })
  }

  /** Implements ftruncate(2), for tools that know the size beforehand, and O_TRUNC where it comes after the open. */
  truncate(length: number): Promise<void> {
    return this.#inTurn(async () => {
      this.#writable()
      this.#touched = true
      this.#unchecked = true
      await this.#orGiveUp(() => this.file.truncate(length))
    })
  }

  /**
   * Called when the writer says that the file is complete. It is installed, or the call fails with what is wrong with
   * it.
   */
  sync(ctx: Context): Promise<void> {
    return this.#inTurn(() => this.#install(ctx.signal))
  }

  /** Ends the upload. @throws what `sync` would have thrown, unless sync was called since the last write */
  close(): Promise<void> {
    return this.#inTurn(async () => {
      const told = this.#problem !== undefined && !this.#unchecked
      try {
        if (this.#state === 'open' && !told) await this.#install()
      } finally {
        if (this.#state === 'installed') await this.file.close()
        else await this.#discard()
      }
    })
  }

  async #install(signal?: AbortSignal): Promise<void> {
    if (this.#state === 'gone') throw this.#problem ?? fail('notFound', this.name)
    if (this.#state === 'installed' || !this.#touched) return
    if (this.#problem && !this.#unchecked) throw this.#problem
    this.#problem = undefined
    try {
      await checkGguf(this.beside, signal)
    } catch (e) {
      if (e instanceof FsError && e.is('badModel')) this.#problem = e
      this.#unchecked = this.#problem === undefined
      throw e
    }
    await this.#orGiveUp(async () => {
      // a file system without modes (of a USB stick) must not be a reason to refuse a model
      await this.file.chmod(0o644).catch(() => undefined)
      // a crash after the rename must not leave the name on bytes that never reached the disk
      await this.file.sync()
      await rename(this.beside, this.path)
    })
    this.#state = 'installed'
    this.ended(true)
  }

  /**
   * Runs a step whose failure (a full disk) cannot be repaired by further writes: the file is removed at once, and
   * every later call fails with the same error.
   */
  async #orGiveUp<T>(what: () => Promise<T>): Promise<T> {
    try {
      return await what()
    } catch (e) {
      this.#problem = fileError(e, this.name)
      await this.#discard()
      throw this.#problem
    }
  }

  async #discard(): Promise<void> {
    if (this.#state === 'gone') return
    this.#state = 'gone'
    await unlink(this.beside).catch(() => undefined)
    // the disk space is freed only when no descriptor of the file is left
    await this.file.close().catch(() => undefined)
    this.ended(false)
  }
}

/**
 * Removes the uploads of killed processes: those of this machine whose process is gone, and any that is older than a
 * day.
 */
export async function sweepUploads(dir: string): Promise<void> {
  for (const name of await readdir(dir).catch(() => [])) {
    if (!name.startsWith(prefix)) continue
    const path = join(dir, name)
    const [, where, pid] = /^\.upload-(.*)\.(\d+)\.[0-9a-f]+$/.exec(name) ?? []
    const age = await stat(path).then(
      s => Date.now() - s.mtimeMs,
      () => 0,
    )
    if (age > STALE_UPLOAD_MS || (where === host && !alive(Number(pid)))) await unlink(path).catch(() => undefined)
  }
}

function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (e) {
    return (e as NodeJS.ErrnoException).code === 'EPERM'
  }
}
