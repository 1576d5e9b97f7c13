/** Measures what idle connections cost an active client. */

import { readFileSync } from 'node:fs'
import type { Client, Fid } from '../fs/client/client.js'
import { compare, type Result, type Skipped } from './measure.js'
import { attach, type Program, startOurs } from './programs.js'

const IDLE = 10_000
/** Descriptors that are not for connections. */
const OWN = 500
/** How many connections are made at once: fewer than a socket's backlog. */
const AT_ONCE = 100
const REQUESTS = 4000
const ROUNDS = 9

/** The 99th percentile of REQUESTS requests, one after another, in microseconds. */
async function p99(fid: Fid): Promise<number> {
  const took: number[] = []
  for (let i = 0; i < REQUESTS; i++) {
    const begun = performance.now()
    await fid.read(0, 100)
    took.push(performance.now() - begun)
  }
  took.sort((a, b) => a - b)
  return took[Math.floor(REQUESTS * 0.99)]! * 1000
}

/**
 * Measures what idle connections cost an active client, on two servers in turn: one with ten thousand idle connections,
 * one with none.
 */
export async function activeBesideIdle(): Promise<Result | Skipped> {
  const what = `p99 of an active client with ${IDLE} idle connections / without`
  const files = Number(/^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? Infinity)
  if (files < IDLE + OWN) return { what, skipped: `the limit on open files is ${files}` }
  const clients: Client[] = []
  const active = async (server: Program): Promise<Fid> => {
    const { client, root } = await attach(server)
    clients.push(client)
    const fid = await (await root.walk(['small'])).open(0)
    await p99(fid)
    return fid
  }
  const [crowded, empty] = [await startOurs(), await startOurs()]
  while (clients.length < IDLE)
    for (const { client } of await Promise.all(Array.from({ length: AT_ONCE }, () => attach(crowded))))
      clients.push(client)
  const [beside, alone] = [await active(crowded), await active(empty)]
  const result = await compare({
    what,
    unit: 'µs',
    aim: { most: 1.1 },
    rounds: ROUNDS,
    ours: () => p99(beside),
    theirs: () => p99(alone),
  })
  for (const client of clients) client.close()
  await Promise.all([crowded.stop(), empty.stop()])
  return result
}
