/** The history of what a person entered, kept in a file over the runs of a program. */
import { appendFileSync, chmodSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { makeDirectory } from '../../fs/host-directory.js'

/** How many entries are kept by default. */
const LIMIT = 2000
/** The most bytes of a history file that is read; an entry may be a pasted file. */
const MOST = 16 * 1024 * 1024

/**
 * What a person entered, oldest first. The file has one JSON string a line, and only its user can read it. Several
 * programs may append to it at once, because each entry is one write. The rewrite at twice the limit is not protected:
 * an entry that another program appends between the read and the rename is lost. An entry that begins with a space is
 * not kept, nor one that repeats the last. A file that cannot be read or written causes one warning and nothing else.
 */
export class History {
  readonly #limit: number
  readonly #warn: (line: string) => void
  #entries: string[] | undefined
  #off = false
  #warned = false
  /** Whether the file ends inside a line, because a program was stopped while it wrote. */
  #torn = false

  constructor(
    readonly file: string,
    options: { limit?: number; warn?: (line: string) => void } = {},
  ) {
    this.#limit = options.limit ?? LIMIT
    this.#warn = options.warn ?? (() => {})
  }

  /** The entries, oldest first. The file is read at the first use; later only this program's own entries are added. */
  get entries(): readonly string[] {
    this.#entries ??= this.#read()
    return this.#entries
  }

  add(entry: string): void {
    if (entry.trim() === '' || entry.startsWith(' ') || entry === this.entries.at(-1)) return
    this.#entries!.push(entry)
    if (this.#entries!.length > this.#limit) this.#entries!.shift()
    if (this.#off) return
    this.#guard(() => {
      makeDirectory(dirname(this.file), 0o700)
      appendFileSync(this.file, `${this.#torn ? '\n' : ''}${JSON.stringify(entry)}\n`, { mode: 0o600 })
      this.#torn = false
    })
  }

  /** Stops writing to the file, until `on`. */
  off(): void {
    this.#off = true
  }

  on(): void {
    this.#off = false
  }

  #read(): string[] {
    const entries: string[] = []
    this.#guard(() => {
      const text = this.#text()
      this.#torn = text !== '' && !text.endsWith('\n')
      const lines = text.split('\n').filter(Boolean)
      for (const line of lines.slice(-this.#limit)) {
        const entry = parse(line)
        if (entry !== undefined) entries.push(entry)
      }
      // rewritten when it has twice the entries, so that it does not grow without bound
      if (lines.length > 2 * this.#limit) {
        const beside = `${this.file}.${process.pid}`
        writeFileSync(beside, entries.map(entry => `${JSON.stringify(entry)}\n`).join(''), { mode: 0o600 })
        renameSync(beside, this.file)
      }
    })
    return entries
  }

  #text(): string {
    try {
      const found = statSync(this.file)
      if (!found.isFile()) throw new Error('not a file')
      const { mode, size } = found
      if (mode & 0o077) chmodSync(this.file, 0o600)
      if (size > MOST) throw new Error(`over ${MOST} bytes`)
      return readFileSync(this.file, 'utf8')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
      throw error
    }
  }

  #guard(work: () => void): void {
    try {
      work()
    } catch (error) {
      if (!this.#warned) this.#warn(`history is not saved: ${this.file}: ${(error as Error).message}`)
      this.#warned = true
    }
  }
}

/** The entry on a line; undefined for a line that was cut off or is not a JSON string. */
function parse(line: string): string | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'string' ? value : undefined
  } catch {
    return undefined
  }
}
