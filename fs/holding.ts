/** The count of the memory that one thing keeps for one user: who keeps bytes asks here before they are kept. */
export interface Holding {
  /** Counts so many bytes more. @throws FsError where there is no room for them: then nothing has changed */
  grow(bytes: number): void
  /** Counts so many bytes fewer. */
  shrink(bytes: number): void
  /** Counts nothing any more, now and later: the thing is gone. */
  free(): void
}
