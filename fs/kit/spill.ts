/** Where a long log keeps what need not be in memory: files, given by whoever has a disk. */
import type { Context } from '../file.js'

/** Makes files for logs. */
export interface Spill {
  /** A new, empty file. */
  create(): SpillFile
}

/** Bytes of one log outside memory: they grow at the end, and go all at once. */
export interface SpillFile {
  /**
   * Adds bytes at the end; one call at a time.
   * @returns whether they are there; if not, the file is as it was. Never rejects
   */
  append(pieces: readonly Uint8Array[]): Promise<boolean>
  /**
   * `count` bytes at `offset`, all of which were added before.
   * @throws FsError `i/o error`, or `interrupted` when the call is aborted
   */
  read(offset: number, count: number, ctx: Pick<Context, 'signal' | 'whenAborted'>): Promise<Uint8Array>
  /** Removes the file; nobody adds to it or reads it after that. */
  remove(): void
}
