/** Encodes directories: the stats of Tread (read(5)) and the entries of Treaddir. */
import { measured, toStat } from '../base/attributes.js'
import type { Clock } from '../base/clock.js'
import { fail } from '../base/errors.js'
import { ENTRY_BYTES, MAX_ENTRIES } from '../base/limits.js'
import { andThen, type MaybePromise } from '../base/maybe-promise.js'
import type { Attributes, Context, Entry } from '../file.js'
import { bareStat, dirent, type Field } from '../wire/field.js'
import { DT_DIR, DT_REG } from '../wire/linux.js'
import type { Dialect } from '../wire/protocol.js'
import { type FidState, isDirectory } from './fid.js'

/**
 * Returns the fid's listing, which a read from offset 0 makes; later reads continue in it, so that no change to the
 * directory can tear it.
 */
function snapshot(fid: FidState, fromStart: boolean, ctx: Context): MaybePromise<Entry[]> {
  if (fid.entries && !fromStart) return fid.entries
  return andThen(fid.opened?.list?.(ctx) ?? [], entries => {
    const list: Entry[] = []
    for (const entry of entries) {
      if (list.length === MAX_ENTRIES) break
      if (entry[1].unlisted) continue
      list.push(entry)
    }
    const more = (list.length - (fid.entries?.length ?? 0)) * ENTRY_BYTES
    if (more > 0) fid.holding?.grow(more)
    else fid.holding?.shrink(-more)
    fid.next = { index: 0, offset: 0 }
    fid.entries = list
    return list
  })
}

/**
 * Answers a Tread of a directory (read(5)): whole stats only. The offset must be 0 or where the last read ended.
 * @throws FsError `bad offset`, or `bad argument` if `count` is too small for one entry
 */
export function readStats(
  fid: FidState,
  offset: number,
  count: number,
  dialect: Dialect,
  ctx: Context,
  clock: Clock,
): MaybePromise<Uint8Array> {
  if (offset !== 0 && (!fid.entries || offset !== fid.next.offset)) throw fail('badOffset', 'in directory read')
  return andThen(snapshot(fid, offset === 0, ctx), entries => {
    const out = new Packer(count)
    const finish = () => {
      fid.next = { index, offset: offset + out.length }
      return out.bytes()
    }
    let index = fid.next.index
    const put = (attributes: Attributes, [name, file]: Entry): boolean => {
      if (!out.add(bareStat, toStat(name, file.qid, attributes), dialect)) return false
      index++
      return true
    }
    const loop = (): MaybePromise<Uint8Array> => {
      while (index < entries.length) {
        const entry = entries[index]!
        const attributes = measured(entry[1], ctx, clock)
        if (attributes instanceof Promise) {
          // an entry of a mounted tree may be gone by now: leave it out and continue
          return attributes.then(
            a => (put(a, entry) ? loop() : finish()),
            () => {
              index++
              return loop()
            },
          )
        }
        if (!put(attributes, entry)) break
      }
      if (out.length === 0 && index < entries.length)
        throw fail('badArgument', `count ${count} is too small for one entry`)
      return finish()
    }
    return loop()
  })
}

/**
 * Answers a Treaddir. The cookie of an entry is its position in the listing, counted from 1, with `.` and `..` first.
 * @throws FsError `bad argument` if `count` is too small for one entry
 */
export function readDirents(fid: FidState, offset: bigint, count: number, ctx: Context): MaybePromise<Uint8Array> {
  return andThen(snapshot(fid, offset === 0n, ctx), entries => {
    const here = fid.place!
    const all = entries.length + 2
    const out = new Packer(count)
    for (let i = offset < BigInt(all) ? Number(offset) : all; i < all; i++) {
      const [name, file] =
        i === 0
          ? (['.', here.file] as const)
          : i === 1
            ? (['..', (here.parent ?? here).file] as const)
            : entries[i - 2]!
      const entry = { qid: file.qid, offset: BigInt(i + 1), type: isDirectory(file) ? DT_DIR : DT_REG, name }
      if (!out.add(dirent, entry, '9P2000.L')) {
        if (out.length === 0) throw fail('badArgument', `count ${count} is too small for one entry`)
        break
      }
    }
    return out.bytes()
  })
}

/** Packs whole items into a buffer of at most `most` bytes, until one does not fit. */
class Packer {
  length = 0
  #bytes: Uint8Array

  constructor(readonly most: number) {
    this.#bytes = new Uint8Array(Math.min(most, 8192))
  }

  add<T>(field: Field<T>, value: T, dialect: Dialect): boolean {
    const end = this.length + field.size(value, dialect)
    if (end > this.most) return false
    if (end > this.#bytes.length) {
      const larger = new Uint8Array(Math.min(this.most, Math.max(end, this.#bytes.length * 2)))
      larger.set(this.#bytes)
      this.#bytes = larger
    }
    field.put({ bytes: this.#bytes, at: this.length }, value, dialect)
    this.length = end
    return true
  }

  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.length)
  }
}
