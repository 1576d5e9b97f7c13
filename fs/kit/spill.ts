/** Where a long log keeps the bytes that need not be in memory: files, provided by a program that has a disk. */
import type { Context } from '../file.js'

/** Creates files for logs. */
export interface Spill {
  /** A new, empty file. */
  create(): SpillFile
}

/** The bytes of one log outside memory, appended at the end and removed all at once. */
export interface SpillFile {
  /**
   * Appends bytes; one call at a time. Never rejects.
   * @returns whether the bytes were written; if not, the file is unchanged
   */
  append(pieces: readonly Uint8Array[]): Promise<boolean>
  /**
   * Reads `count` bytes at `offset`, all of which were appended before.
   * @throws FsError `i/o error`, or `interrupted` when the call is aborted
   */
  read(offset: number, count: number, ctx: Pick<Context, 'signal' | 'whenAborted'>): Promise<Uint8Array>
  /** Removes the file; it is neither written nor read after that. */
  remove(): void
}
