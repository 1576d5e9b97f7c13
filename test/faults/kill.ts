/** The scenario `kill`: workers are killed in the middle of answers. */

import { setTimeout as sleep } from 'node:timers/promises'
import { parseRecords } from '../../fs/base/quote.js'
import { fuseProblem } from '../../mnt/mount.js'
import { type Asker, byData, byGenerate, byMount, bySession, echoPrompt, type Prompt, Tally } from './clients.js'
import { Cluster } from './cluster.js'
import { must, type Scenario, type Stage, seconds } from './stage.js'

/** How many times answers must be moved to another worker in their middle. */
export const MOVES = 100
/** How often a worker is killed, in ms. */
const EVERY_MS = 3_000

/**
 * 20 programs at once: `data` on a mount, `data` and `generate` over 9P, and conversations. Without a mount, the first
 * use 9P too.
 */
export async function clients(
  cluster: Cluster,
  mount: string | undefined,
  more: object = {},
): Promise<Record<string, Asker>> {
  const askers: Record<string, Asker> = {}
  for (let i = 0; i < 5; i++) {
    askers[`mount${i}`] = mount ? byMount(mount) : byData(await cluster.tree())
    askers[`data${i}`] = byData(await cluster.tree())
    askers[`generate${i}`] = byGenerate(await cluster.tree(), more)
    askers[`session${i}`] = await bySession(await cluster.tree())
  }
  return askers
}

/** Counts the moves of answers, from the status of their tasks. */
export class Moves {
  readonly #of = new Map<string, number>()
  readonly #over = new Set<string>()

  constructor(readonly cluster: Cluster) {}

  async count(): Promise<number> {
    for (const id of await this.cluster.root.names('task')) {
      if (this.#over.has(id)) continue
      const text = await this.cluster.root.read(`task/${id}/status`).catch(() => undefined)
      const task = text && parseRecords(text)[0]?.attrs
      if (!task) continue
      this.#of.set(id, Number(task.resumed))
      if (/^(done|failed|cancelled)$/.test(task.state!)) this.#over.add(id)
    }
    return [...this.#of.values()].reduce((sum, n) => sum + n, 0)
  }
}

/** Kills a worker that is answering, every 3 s as long as there is another, until that many answers have been moved. */
export async function killing(
  cluster: Cluster,
  moves: Moves,
  enough: number,
): Promise<{ kills: number; moved: number }> {
  let kills = 0
  let moved = 0
  for (const end = Date.now() + 480_000; moved < enough && Date.now() < end; ) {
    await sleep(EVERY_MS)
    const live = (await cluster.workers()).filter(({ pid, state }) => pid !== undefined && /idle|busy/.test(state))
    const victims = live.filter(({ active }) => active > 0)
    const victim = victims[Math.floor(Math.random() * victims.length)]
    // if this machine has not restarted the last ones yet, there is no worker to move to
    if (victim && live.length >= 2) {
      process.kill(victim.pid!, 'SIGKILL')
      kills++
    }
    moved = await moves.count()
  }
  return { kills, moved }
}

async function killEcho(stage: Stage): Promise<string> {
  const problem = await fuseProblem()
  const cluster = await Cluster.start(stage, {
    slots: 8,
    env: { LLAMBO_ENGINE_RATE: '20' },
    mount: problem === undefined,
    ctl: ['retry resumes 5'],
  })
  return under(
    cluster,
    await clients(cluster, problem === undefined ? cluster.mount : undefined),
    (who, n) => echoPrompt(`${who}-${n}`, 110),
    problem,
  )
}

async function under(
  cluster: Cluster,
  askers: Record<string, Asker>,
  prompt: (who: string, n: number) => Prompt,
  problem?: string,
): Promise<string> {
  const stop = new AbortController()
  const tally = new Tally()
  const began = Date.now()
  const load = tally.load(askers, prompt, stop.signal)
  const moves = new Moves(cluster)
  const { kills } = await killing(cluster, moves, MOVES)
  stop.abort()
  await load
  const moved = await moves.count()
  const figures = tally.check(0.99)
  for (const asker of Object.values(askers)) await (asker as { check?(): Promise<void> }).check?.()
  must(moved >= MOVES, `only ${moved} moves in ${kills} kills`)
  must(tally.shortest_ms >= 5000, `the shortest answer took ${seconds(tally.shortest_ms)}: they were to take 5 s`)
  const { active, queue } = await cluster.status()
  must(active === '0' && queue === '0', `active=${active} queue=${queue} when all is over`)
  return `${kills} kills in ${seconds(Date.now() - began)}, ${moved} moves, ${figures}, the shortest ${seconds(tally.shortest_ms)}${problem ? `; no mount: ${problem}` : ''}`
}

export const kill: Scenario = { name: 'kill', run: killEcho }
