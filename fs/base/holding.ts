/**
 * Accounting of the memory that one object keeps on behalf of one user. Code that keeps bytes counts them here before
 * it keeps them.
 */
export interface Holding {
  /**
   * Counts `bytes` more.
   * @param passing the bytes are in transit: only the count decides, and the size of the process, which changes from
   *   moment to moment, is not checked
   * @throws FsError if there is no room for them; nothing has changed then
   */
  grow(bytes: number, passing?: boolean): void
  /** Whether there would be room for `bytes` in transit. */
  fits(bytes: number): boolean
  /**
   * Counts bytes that exist already, beyond the user's share if others leave room.
   * @returns whether there was room; if not, the bytes are not counted and the caller must release them
   */
  owe(bytes: number): boolean
  /** Counts `bytes` fewer. */
  shrink(bytes: number): void
  /** Releases everything counted, for good: the object is gone. */
  free(): void
}
