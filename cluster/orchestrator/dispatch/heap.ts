/**
 * A binary heap whose items can be moved and removed. Routing keeps its workers in heaps, so that a choice among ten
 * thousand costs the same as among ten.
 */
export class Heap<T> {
  /** `items[0]` is the least; the rest are in heap order. */
  readonly items: T[] = []
  readonly #at = new Map<T, number>()

  /** @param before whether `a` comes before `b` */
  constructor(readonly before: (a: T, b: T) => boolean) {}

  has(item: T): boolean {
    return this.#at.has(item)
  }

  /** Adds an item, or moves an item that has changed to where it now belongs. */
  put(item: T): void {
    let i = this.#at.get(item)
    if (i === undefined) {
      i = this.items.length
      this.items.push(item)
      this.#at.set(item, i)
    }
    if (!this.#up(i)) this.#down(i)
  }

  delete(item: T): void {
    const i = this.#at.get(item)
    if (i === undefined) return
    this.#at.delete(item)
    const last = this.items.pop()!
    if (last === item) return
    this.items[i] = last
    this.#at.set(last, i)
    if (!this.#up(i)) this.#down(i)
  }

  #up(from: number): boolean {
    let i = from
    for (let parent = (i - 1) >> 1; i > 0 && this.#swap(i, parent); parent = (i - 1) >> 1) i = parent
    return i !== from
  }

  #down(from: number): void {
    for (let i = from; ; ) {
      const left = 2 * i + 1
      const right = left + 1
      const { items } = this
      if (left >= items.length) return
      const child = right < items.length && this.before(items[right]!, items[left]!) ? right : left
      if (!this.#swap(child, i)) return
      i = child
    }
  }

  /** Swaps two items if the first comes before the second. @returns whether it did */
  #swap(a: number, b: number): boolean {
    const { items } = this
    const x = items[a]!
    const y = items[b]!
    if (!this.before(x, y)) return false
    items[a] = y
    items[b] = x
    this.#at.set(y, a)
    this.#at.set(x, b)
    return true
  }
}
