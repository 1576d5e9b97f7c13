/** Compares our server with diod. */

import { WINDOW } from '../fs/base/limits.js'
import type { Client, Fid } from '../fs/client/client.js'
import { OREAD, OWRITE } from '../fs/wire/protocol.js'
import { type Comparison, compare, type Result, rate, type Side, type Skipped, time } from './measure.js'
import { attach, haveDiod, type Program, startDiod, startOurs } from './programs.js'
import { LARGE, SMALL } from './tree.js'

type Connection = { client: Client; root: Fid }

async function opened({ root }: Connection, name: string, mode: number): Promise<Fid> {
  return (await root.walk([name])).open(mode)
}

/** Small reads a second with `lanes` of them in flight. */
async function reads(to: Connection, lanes: number): Promise<Side> {
  const fid = await opened(to, 'small', OREAD)
  return () => rate(lanes, () => fid.read(0, SMALL))
}

/** How many small files a second are walked to, opened, read and clunked, 32 at once. */
async function files({ root }: Connection): Promise<Side> {
  return () =>
    rate(32, async () => {
      const fid = await root.walk(['small'])
      await fid.open(OREAD)
      await fid.read(0, SMALL)
      await fid.clunk()
    })
}

async function sequentialRead(to: Connection): Promise<Side> {
  const fid = await opened(to, 'large', OREAD)
  const unit = to.client.msize - 24
  return async () => {
    let next = 0
    const lane = async () => {
      while (next < LARGE) {
        const at = next
        next += unit
        const { length } = await fid.read(at, unit)
        if (length !== Math.min(unit, LARGE - at)) throw new Error(`${length} bytes at ${at}`)
      }
    }
    return LARGE / 1000 / (await time(() => Promise.all(Array.from({ length: WINDOW }, lane))))
  }
}

async function sequentialWrite(to: Connection): Promise<Side> {
  const fid = await opened(to, 'sink', OWRITE)
  const data = new Uint8Array(LARGE).fill(1)
  return async () => LARGE / 1000 / (await time(() => fid.write(0, data)))
}

/** The rows that compare our server with diod, with our client for both. */
export async function* againstDiod(wanted: (what: string) => boolean): AsyncGenerator<Result | Skipped> {
  const KiB = 1024
  const rows: [string, string, Comparison['aim'], number | undefined, (to: Connection) => Promise<Side>][] = [
    ['small reads, 1 outstanding', '/s', { least: 0.8 }, undefined, to => reads(to, 1)],
    ['small reads, 32 outstanding', '/s', { least: 3 }, undefined, to => reads(to, 32)],
    ['walk+open+read+clunk, 32 at once', '/s', { least: 1.5 }, undefined, files],
    ['large read, msize 64 KiB', 'MB/s', { least: 1 }, 64 * KiB, sequentialRead],
    ['large read, msize 1 MiB', 'MB/s', { least: 1 }, 1024 * KiB, sequentialRead],
    ['large write, msize 64 KiB', 'MB/s', { least: 1 }, 64 * KiB, sequentialWrite],
    ['large write, msize 1 MiB', 'MB/s', { least: 1 }, 1024 * KiB, sequentialWrite],
  ]
  const chosen = rows.filter(([what]) => wanted(what))
  if (chosen.length === 0) return
  if (!haveDiod) {
    for (const [what] of chosen) yield { what, skipped: 'diod is missing: apt-get install diod' }
    return
  }
  const servers: Program[] = [await startOurs('large'), await startDiod()]
  for (const [what, unit, aim, msize, side] of chosen) {
    const [us, them] = [await attach(servers[0]!, msize), await attach(servers[1]!, msize)]
    const [ours, theirs] = [await side(us), await side(them)]
    // a run that does not count, for compilers and caches
    await ours()
    await theirs()
    const asked =
      msize === undefined || us.client.msize === them.client.msize
        ? {}
        : { note: `diod agrees to ${them.client.msize} only` }
    yield await compare({ what, unit, aim, ours, theirs, ...asked })
    us.client.close()
    them.client.close()
  }
  for (const server of servers) await server.stop()
}
