import { OREAD } from '../fs/message.js'
import { compare, micros, type Result, time } from './measure.js'
import { attach, startOurs } from './programs.js'
import { directoryName, entryName, SIZES } from './tree.js'

const [, MIDDLE, MOST] = SIZES
/** Entries that are listed, and walks that are made, for one figure whatever the size of the directory. */
const ENTRIES = 100_000
const WALKS = 10_000

/** What an entry of a listing and a walk cost in directories of growing size. */
export async function* growth(wanted: (what: string) => boolean): AsyncGenerator<Result> {
  const what = (of: string, [from, to]: readonly [number, number]) => `growth: ${of}, ${to} entries against ${from}`
  const steps = [
    [SIZES[0], MIDDLE],
    [MIDDLE, MOST],
  ] as const
  if (!steps.some(step => wanted(what('per entry', step)) || wanted(what('per walk', step)))) return
  const server = await startOurs('directories')
  const { client, root } = await attach(server)

  /** µs for an entry of a listing of that size. */
  const list = (size: number) => async () => {
    const times = Math.max(1, ENTRIES / 10 / size)
    const ms = await time(async () => {
      for (let i = 0; i < times; i++) {
        const fid = await (await root.walk([directoryName(size)])).open(OREAD)
        const { length } = await fid.list()
        if (length !== size) throw new Error(`${length} entries of ${size}`)
        await fid.clunk()
      }
    })
    return micros(ms, times * size)
  }
  /** µs for a walk to the last names of a directory of that size. */
  const walk = (size: number) => async () => {
    const from = await root.walk([directoryName(size)])
    const ms = await time(async () => {
      for (let i = 0; i < WALKS; i += 10)
        await Promise.all(
          Array.from({ length: 10 }, async (_, j) => (await from.walk([entryName(size - 1 - j)])).clunk()),
        )
    })
    await from.clunk()
    return micros(ms, WALKS)
  }
  for (const [of, side] of [
    ['per entry', list],
    ['per walk', walk],
  ] as const)
    for (const step of steps) {
      const row = { what: what(of, step), unit: 'µs', aim: { most: 2 }, ours: side(step[1]), theirs: side(step[0]) }
      if (!wanted(row.what)) continue
      await row.ours()
      await row.theirs()
      yield await compare(row)
    }
  client.close()
  await server.stop()
}
