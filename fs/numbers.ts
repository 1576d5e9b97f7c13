/**
 * Hands out small numbers, the lowest free one first: a client's tags and fids. Servers keep tables by them, so that a
 * number used again soon is cheaper for both ends than a new one.
 */
export class Numbers {
  #next = 0
  /** Numbers given back, as a binary heap: the lowest is at 0. */
  #free: number[] = []

  /** @param most the largest number it may hand out */
  constructor(readonly most: number) {}

  /** The lowest free number, or undefined when all are taken. */
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

  /** Gives a number back; it must have been taken. */
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
