/** The count of the memory that one thing keeps for one user: who keeps bytes asks here before they are kept. */
export interface Holding {
  /**
   * Counts so many bytes more.
   * @param passing they are on their way: their count decides, and the process, whose size changes from moment to moment, is not looked at
   * @throws FsError where there is no room for them: then nothing has changed
   */
  grow(bytes: number, passing?: boolean): void
  /** Whether there would be room for so many bytes that are on their way. */
  fits(bytes: number): boolean
  /**
   * Counts bytes that are there already, beyond the user's share if others leave room.
   * @returns whether there was room; else they are not counted, and have to go
   */
  owe(bytes: number): boolean
  /** Counts so many bytes fewer. */
  shrink(bytes: number): void
  /** Counts nothing any more, now and later: the thing is gone. */
  free(): void
}
