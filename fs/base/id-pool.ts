/**
 * A pool of small numbers, the lowest free one first: a client's tags and fids. Servers keep tables indexed by them, so
 * reusing a number soon is cheaper for both ends than taking a new one.
 */
export class IdPool {
  #next = 0
  /** Returned numbers, as a binary heap with the lowest at index 0. */
  #free: number[] = []

  /** @param most the largest number to hand out */
  constructor(readonly most: number) {}

  /** Takes the lowest free number; undefined if all are taken. */
  take(): number | undefined {
    const heap = this.#free
    if (heap.length === 0) return this.#next <= this.most ? this.#next++ : undefined
    const lowest = heap[0]!
    const last = heap.pop()!
    let at = 0
    while (2 * at + 1 < heap.length) {
      const left = 2 * at + 1
      const child = left + 1 < heap.length && heap[left + 1]! < heap[left]! ? left + 1 : left
      if (heap[child]! >= last) break
      heap[at] = heap[child]!
      at = child
    }
    if (heap.length > 0) heap[at] = last
    return lowest
  }

  /** Returns a number, which must have been taken. */
  give(n: number): void {
    const heap = this.#free
    let at = heap.length
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (heap[parent]! <= n) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = n
  }
}
