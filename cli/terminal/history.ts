/** The history of what a person entered, kept in a file over the runs of a program. */
import {
  appendFileSync,
  chmodSync,
  closeSync,
  fstatSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { makeDirectory } from '../../fs/host-directory.js'

/** How many entries are kept by default. */
const LIMIT = 2000
/** The most bytes of a history file that is read; an entry may be a pasted file. */
const MOST = 16 * 1024 * 1024

/**
 * What a person entered, oldest first. The file has one JSON string a line, and only its user can read it. Several
 * programs may append to it at once, because each entry is one write. What another program appends while the file is
 * rewritten, at twice the limit, is kept. An entry that begins with a space is not kept, nor one that repeats the last.
 * A file that cannot be read or written causes one warning and nothing else.
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
    let entries: string[] = []
    this.#guard(() => {
      let file: number | undefined
      // read again where another program has rewritten it meanwhile
      while ((file = this.#open()) !== undefined) {
        try {
          const text = readFileSync(file, 'utf8')
          this.#torn = text !== '' && !text.endsWith('\n')
          const lines = text.split('\n').filter(Boolean)
          entries = lines.slice(-this.#limit).flatMap(line => parse(line) ?? [])
          // rewritten when it has twice the entries, so that it does not grow without bound
          if (lines.length <= 2 * this.#limit || this.#rewrite(file, entries)) return
        } finally {
          closeSync(file)
        }
      }
    })
    return entries
  }

  /** Opens the file; undefined if there is none. */
  #open(): number | undefined {
    try {
      const found = statSync(this.file)
      if (!found.isFile()) throw new Error('not a file')
      const { mode, size } = found
      if (mode & 0o077) chmodSync(this.file, 0o600)
      if (size > MOST) throw new Error(`over ${MOST} bytes`)
      return openSync(this.file, 'r')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
  }

  /**
   * Replaces the file by these entries, and by what other programs have appended to it since it was read.
   * @param file the file as it was opened, read to its end then
   * @returns false if another program has replaced it
   */
  #rewrite(file: number, entries: readonly string[]): boolean {
    const beside = `${this.file}.${process.pid}`
    writeFileSync(beside, entries.map(entry => `${JSON.stringify(entry)}\n`).join(''), { mode: 0o600 })
    if (statSync(this.file).ino !== fstatSync(file).ino) {
      rmSync(beside)
      return false
    }
    renameSync(beside, this.file)
    // the descriptor still leads to the old file, from where the first read ended
    const added = readFileSync(file)
    if (added.length > 0) appendFileSync(this.file, added)
    this.#torn = false
    return true
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
