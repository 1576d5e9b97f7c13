/** Measures how costs grow with the size of directories and the number of sessions. */

import { Client } from '../fs/client/client.js'
import { dial } from '../fs/dial.js'
import { ORDWR, OREAD } from '../fs/wire/protocol.js'
import { newHome, up } from './llambo.js'
import { compare, micros, type Result, type Side, time } from './measure.js'
import { attach, startOurs } from './programs.js'
import { directoryName, entryName, SIZES } from './tree.js'

const [, MIDDLE, MOST] = SIZES
/** How many entries are listed and how many walks are made for one measurement, whatever the size of the directory. */
const ENTRIES = 100_000
const WALKS = 10_000

/** Measures the cost of an entry of a listing, and of a walk, in directories of growing size. */
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

/**
 * How many sessions exist while requests are timed. The last number leaves room for the session that each request makes
 * (MAX_SESSIONS).
 */
const SESSIONS = [1, 100, 9_999] as const
const REQUESTS = 100

/** Measures a request that makes a session, asks in it and removes it, on servers with more and more other sessions. */
export async function* sessions(wanted: (what: string) => boolean): AsyncGenerator<Result> {
  const rows = SESSIONS.slice(1)
    .map((to, i) => ({
      what: `growth: per request, ${to} sessions against ${SESSIONS[i]}`,
      sizes: [to, SESSIONS[i]!] as const,
    }))
    .filter(({ what }) => wanted(what))
  for (const { what, sizes } of rows) {
    const [ours, theirs] = await Promise.all(sizes.map(serverWith))
    await ours!.side()
    await theirs!.side()
    yield await compare({ what, unit: 'µs', aim: { most: 2 }, ours: ours!.side, theirs: theirs!.side })
    ours!.stop()
    theirs!.stop()
  }
}

/** A server with this many sessions, and a function that times requests to it. */
async function serverWith(count: number): Promise<{ side: Side; stop(): void }> {
  const server = up(newHome(), '--engine', 'echo', '--no-mount')
  const client = await Client.connect(await dial(server.unix))
  const root = await client.attach({ uname: 'bench' })
  const make = async () => {
    const clone = await (await root.walk(['session', 'clone'])).open(OREAD)
    const number = Buffer.from(await clone.read(0, 64))
      .toString()
      .trim()
    await clone.clunk()
    return number
  }
  for (let i = 0; i < count; i++) await make()
  const request = async () => {
    const number = await make()
    const data = await (await root.walk(['session', number, 'data'])).open(ORDWR)
    await data.write(0, Buffer.from('hello'))
    let length = 0
    for (let n = 1; n > 0; length += n) n = (await data.read(length, 8192)).length
    if (length === 0) throw new Error('no answer')
    await data.clunk()
    await (await root.walk(['session', number])).remove()
  }
  return {
    async side() {
      const ms = await time(async () => {
        for (let i = 0; i < REQUESTS; i++) await request()
      })
      return micros(ms, REQUESTS)
    },
    stop() {
      client.close()
      server.stop()
    },
  }
}
