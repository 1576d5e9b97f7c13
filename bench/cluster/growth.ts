/** Measures how the cost of an orchestrator's work grows with the number of workers. */

import { type Aim, type Result, summary } from '../measure.js'
import { Child, cpuOf } from './child.js'
import type { Came, ClientsAsk } from './clients.js'
import type { FarmAsk, Group } from './farm.js'
import { type Orchestrator, startOrchestrator } from './orchestrator.js'

/** The numbers of workers with which the same requests are made. */
const SIZES = [10, 100, 1000, 10_000] as const
const SECONDS = 4
/** Answers at once: fewer than the slots of ten workers. */
const STREAMS = 32
const CONNECTIONS = 16
const PASSES = 3
/** Seconds between an orchestrator's heartbeats to a worker. */
const HEARTBEAT_S = 3

const group = (count: number, rate: number, slots = 4): Group => ({ class: 'peer', count, rate, slots, kind: 'peer' })

interface Rig {
  orchestrator: Orchestrator
  farm: Child<FarmAsk>
  clients: Child<ClientsAsk>
  stop(): Promise<void>
}

async function rig(peers: Group): Promise<Rig> {
  const orchestrator = await startOrchestrator()
  const farm = new Child<FarmAsk>('farm')
  const clients = new Child<ClientsAsk>('clients')
  await farm.ask({ do: 'join', address: orchestrator.join, dir: orchestrator.dir, groups: [peers] })
  await orchestrator.slots(peers.count * peers.slots)
  return {
    orchestrator,
    farm,
    clients,
    async stop() {
      await clients.stop()
      await farm.stop()
      await orchestrator.stop()
    },
  }
}

/** CPU time of the orchestrator during a measurement, in ms, and what the clients received. */
async function spent({ orchestrator, clients }: Rig, seconds: number): Promise<{ ms: number; came: Came }> {
  const before = cpuOf(orchestrator.pid)
  const came = await clients.ask<Came>({ do: 'measure', seconds })
  return { ms: cpuOf(orchestrator.pid) - before, came }
}

/** CPU time that answers of that length take in addition to the heartbeats, in µs: per token, and per answer. */
async function cost(of: Rig, tokens: number, beats_ms: number): Promise<{ token: number; request: number }> {
  const load = { address: of.orchestrator.address, connections: CONNECTIONS, streams: STREAMS, data: 0, tokens }
  await of.clients.ask({ do: 'start', load })
  await of.clients.ask({ do: 'measure', seconds: 1 })
  const { ms, came } = await spent(of, SECONDS)
  await of.clients.ask({ do: 'finish' })
  const more = 1000 * (ms - beats_ms)
  return { token: more / came.tokens, request: more / came.requests }
}

/** Measures the CPU time of a token, of a request and of a heartbeat, with more and more workers. */
export async function* growth(wanted: (what: string) => boolean): AsyncGenerator<Result> {
  const others = SIZES.slice(1).map(size => [size, SIZES[0]] as const)
  // with few workers, the process itself takes more time than the heartbeats
  const steps = { token: others, request: others, heartbeat: [[10_000, 1000]] as const }
  const name = (of: string, [to, from]: readonly [number, number]) =>
    `cluster growth: CPU time of a ${of}, ${to} workers against ${from}`
  const kinds = ['token', 'request', 'heartbeat'] as const
  if (!kinds.some(kind => steps[kind].some(step => wanted(name(kind, step))))) return
  const costs = new Map(
    SIZES.map(size => [size, { token: [], request: [], heartbeat: [] } as Record<string, number[]>]),
  )
  for (let pass = 0; pass < PASSES; pass++)
    for (const size of SIZES) {
      const of = await rig(group(size, 50))
      const all = costs.get(size)!
      // a run that does not count, for compilers and caches
      await cost(of, 1, 0)
      const { ms } = await spent(of, SECONDS)
      all.heartbeat!.push((1000 * ms) / ((SECONDS / HEARTBEAT_S) * size))
      all.token!.push((await cost(of, 100, ms)).token)
      all.request!.push((await cost(of, 1, ms)).request)
      await of.stop()
    }
  const aims: Record<(typeof kinds)[number], Aim> = { token: { most: 2 }, request: { most: 2 }, heartbeat: {} }
  for (const kind of kinds)
    for (const step of steps[kind]) {
      const [ours, theirs] = step.map(size => costs.get(size)![kind]!)
      yield summary({ what: name(kind, step), unit: 'µs', aim: aims[kind] }, ours!, theirs!)
    }
}

/** The fraction of the offered tokens that must arrive for the orchestrator to count as keeping up. */
const KEPT_UP = 0.97
const WORKERS = 100
const MOST_ROUNDS = 3

/**
 * Finds the most tokens a second that one orchestrator carries: the workers give more and more, until the orchestrator
 * falls behind.
 */
export async function* most(wanted: (what: string) => boolean): AsyncGenerator<Result> {
  const row = { what: `most tokens of ${WORKERS} workers that one orchestrator carries`, unit: '/s', aim: {} }
  if (!wanted(row.what)) return
  const best: number[] = []
  let note = ''
  for (let round = 0; round < MOST_ROUNDS; round++) {
    let kept = 0
    for (let rate = 100, behind = false; !behind; rate = Math.ceil(rate * 1.3)) {
      const of = await rig(group(WORKERS, rate, 1))
      const { orchestrator, clients, farm } = of
      const { address } = orchestrator
      const load = { address, connections: 50, streams: WORKERS, data: 0, tokens: 20 * rate }
      await clients.ask({ do: 'start', load })
      await clients.ask({ do: 'measure', seconds: 1 })
      const others = () => cpuOf(farm.pid) + cpuOf(clients.pid)
      const before = others()
      const { ms, came } = await spent(of, SECONDS)
      const part = came.tokens / SECONDS / (rate * WORKERS)
      const share = (cpu: number) => (cpu / 1000 / SECONDS).toFixed(2)
      if (part >= KEPT_UP) {
        kept = came.tokens / SECONDS
        note = `it took ${share(ms)} of its core then, workers and clients ${share(others() - before)} of theirs`
      } else behind = true
      await of.stop()
    }
    best.push(kept)
  }
  yield summary(
    { ...row, difference: true, note },
    best,
    best.map(() => 0),
  )
}
