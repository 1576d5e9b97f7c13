/** Measures an orchestrator with a thousand workers. */

import { type Result, summary } from '../measure.js'
import { resident } from '../programs.js'
import { Child, cpuOf } from './child.js'
import type { Came, ClientsAsk } from './clients.js'
import type { FarmAsk, Group, Made } from './farm.js'
import { startOrchestrator } from './orchestrator.js'

/** The table of a thousand workers that llambo's design begins with. Each worker answers one prompt at a time. */
const groups: Group[] = (
  [
    ['tiny', 750, 10],
    ['medium', 200, 10],
    ['large', 50, 15],
  ] as const
).map(([name, count, rate]) => ({ class: name, count, rate, slots: 1, kind: 'worker' }))
const OFFERED = groups.reduce((sum, { count, rate }) => sum + count * rate, 0)
const WORKERS = groups.reduce((sum, { count }) => sum + count, 0)

const ROUNDS = 5
const SECONDS = 8
/** Seconds until answers begin and end all the time, and frequently called code is compiled. */
const SETTLING_S = 10

const rows = {
  delivered: { what: `${WORKERS} workers: tokens delivered, to what they make`, unit: '/s', aim: { least: 0.97 } },
  gap: { what: `${WORKERS} workers: p99 between tokens, at clients to at workers`, unit: 'ms', aim: { most: 1.5 } },
  memory: { what: `${WORKERS} workers: memory of the orchestrator`, unit: 'MiB', aim: { most: 700 } },
  cpu: { what: `${WORKERS} workers: CPU time of the orchestrator, of its core`, unit: '', aim: {} },
  idle: { what: `${WORKERS} workers that idle: CPU time of the orchestrator`, unit: '', aim: {} },
}

/** Measures a thousand workers, all of them answering, behind an orchestrator that has one core. */
export async function* thousand(wanted: (what: string) => boolean): AsyncGenerator<Result> {
  if (!Object.values(rows).some(({ what }) => wanted(what))) return
  const orchestrator = await startOrchestrator()
  const { pid, address } = orchestrator
  const farm = new Child<FarmAsk>('farm')
  const clients = new Child<ClientsAsk>('clients')
  await farm.ask({ do: 'join', address: orchestrator.join, dir: orchestrator.dir, groups })
  await orchestrator.slots(WORKERS)
  const idle: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const before = cpuOf(pid)
    await farm.ask({ do: 'measure', seconds: 3 })
    idle.push((cpuOf(pid) - before) / 3000)
  }
  await clients.ask({
    do: 'start',
    load: { address, connections: 200, streams: WORKERS, data: 5, tokens: 200 },
  })
  await clients.ask({ do: 'measure', seconds: SETTLING_S })

  const made: Made[] = []
  const came: Came[] = []
  const memory: number[] = []
  const cpu: number[] = []
  const shared: number[] = []
  const others = () => cpuOf(farm.pid) + cpuOf(clients.pid)
  for (let round = 0; round < ROUNDS; round++) {
    const [own, theirs] = [cpuOf(pid), others()]
    const ask = { do: 'measure', seconds: SECONDS } as const
    const [m, c] = await Promise.all([farm.ask<Made>(ask), clients.ask<Came>(ask)])
    cpu.push((cpuOf(pid) - own) / 1000 / SECONDS)
    shared.push((others() - theirs) / 1000 / SECONDS)
    made.push(m)
    came.push(c)
    memory.push(resident(pid) / 1024)
  }
  await clients.stop()
  await farm.stop()
  await orchestrator.stop()

  const none = came.map(() => 0)
  const rate = (counts: { tokens: number }[]) => counts.map(({ tokens }) => tokens / SECONDS)
  const offered = came.map(() => OFFERED)
  const p99 = (all: { gap: Made['gap'] }[]) => all.map(({ gap }) => gap.p99)
  yield summary({ ...rows.delivered, note: `the workers gave ${Math.round(rate(made)[2]!)}` }, rate(came), offered)
  yield summary(rows.gap, p99(came), p99(made))
  yield summary({ ...rows.memory, difference: true }, memory, none)
  const note = `workers and clients together took ${Math.max(...shared).toFixed(2)} of theirs at most`
  yield summary({ ...rows.cpu, difference: true, note }, cpu, none)
  yield summary({ ...rows.idle, difference: true }, idle, none)
}
