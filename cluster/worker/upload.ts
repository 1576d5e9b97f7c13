import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, open, readdir, rename, stat, unlink } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { FsError, fail } from '../../fs/errors.js'
import type { Context, Opened } from '../../fs/file.js'
import { fileError } from './file-error.js'
import { checkGguf } from './gguf.js'
import { STALE_UPLOAD_MS } from './limits.js'

const host = hostname().replace(/[^A-Za-z0-9-]/g, '')
const prefix = '.upload-'

/**
 * A model on its way in: written beside its place in a hidden file, checked when the writer says that it is complete (sync,
 * or else close) and only then renamed. Whoever reads the model that it replaces goes on reading that. Whatever goes wrong,
 * close leaves nothing behind.
 */
export class Upload implements Opened {
  #state: 'open' | 'installed' | 'gone' = 'open'
  /** Whether anything is to be installed at all, and whether anything came since the last check. */
  #touched: boolean
  #unchecked = false
  /** Why it cannot be installed. */
  #problem: FsError | undefined
  /** Calls overlap as they please; what they do to the file happens one after another. */
  #last: Promise<unknown> = Promise.resolve()

  private constructor(
    readonly name: string,
    /** Who writes it. */
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
   * @param dir where the model's place is; must exist
   * @param touched whether even an empty file is meant: false where something was opened and perhaps nothing will be written
   * @param ended called once, when it is in place or gone
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
      throw fail('fileBusy', `${this.name} is complete and in place: open it again to replace it`)
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

  /** ftruncate(2): tools that know the size beforehand, and O_TRUNC where it comes after the open. */
  truncate(length: number): Promise<void> {
    return this.#inTurn(async () => {
      this.#writable()
      this.#touched = true
      this.#unchecked = true
      await this.#orGiveUp(() => this.file.truncate(length))
    })
  }

  /** The writer says that it is complete: it goes in its place, or the error says what is wrong with it. */
  sync(ctx: Context): Promise<void> {
    return this.#inTurn(() => this.#install(ctx.signal))
  }

  /** @throws what `sync` would have, where nobody asked it since the last write */
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
      // a file system without modes (a USB stick's) must not refuse a model for it
      await this.file.chmod(0o644).catch(() => undefined)
      // a crash after the rename must not leave the name on bytes that never reached the disk
      await this.file.sync()
      await rename(this.beside, this.path)
    })
    this.#state = 'installed'
    this.ended(true)
  }

  /** What fails here cannot be mended by writing on (a full disk): the file goes at once, and every later call fails likewise. */
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
    // the bytes are free only when nobody holds the file any more
    await this.file.close().catch(() => undefined)
    this.ended(false)
  }
}

/** Removes uploads that a killed process left: of this machine whose process is gone, and of any after a day. */
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
