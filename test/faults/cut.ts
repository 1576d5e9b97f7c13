/** The scenario `cut`: the connection of workers is delayed, dropped and cut. */

import { setTimeout as sleep } from 'node:timers/promises'
import { loadConfig } from '../../cli/config.js'
import { newSecret } from '../../cluster/secret.js'
import { spawner } from '../../ctl/server/spawn.js'
import { byData, byGenerate, echoPrompt, Tally } from './clients.js'
import { Cluster } from './cluster.js'
import { Moves } from './kill.js'
import { Middleman } from './middleman.js'
import { must, type Scenario, type Stage, until, within } from './stage.js'

/** How long each fault lasts, in ms. */
const LASTS_MS = 6_000

/** Starts a worker process that joins at that address, as a host would. @returns a function that ends it */
export async function workerBy(
  stage: Stage,
  cluster: Cluster,
  address: string,
  id: string,
): Promise<() => Promise<void>> {
  const { config } = loadConfig(cluster.home.env)
  const { env } = cluster.home
  const spawn = spawner({ config, env, host: 'elsewhere', orphan_ms: 60_000, note: () => undefined })
  const of = { name: 'default', model: 'echo', slots: 4, memory: 0, cores: 0 }
  const child = spawn({
    id,
    boot: id.slice(0, 8),
    class: of,
    host_id: 'elsewhere',
    upstream: { address },
    secret: newSecret(),
  })
  const end = async () => {
    child.kill('SIGKILL')
    await child.exited
  }
  stage.teardown(end)
  const ended = child.exited.then(({ code, said }) => Promise.reject(new Error(`a worker ended (${code}): ${said}`)))
  ended.catch(() => undefined)
  await within('a worker started', 30_000, Promise.race([child.ready!, ended]))
  return end
}

/** Two of three workers are behind a connection that suffers all the faults. */
async function broken(stage: Stage): Promise<string> {
  const cluster = await Cluster.start(stage, {
    workers: 1,
    slots: 8,
    env: { LLAMBO_ENGINE_RATE: '20' },
    ctl: ['heartbeat 0.3', 'retry tries 10 resumes 20'],
  })
  const proxy = await Middleman.listen(stage, cluster.home.path('proxy'), cluster.path('join'))
  const tally = new Tally()
  const stop = new AbortController()
  const askers = { data: byData, generate: byGenerate }
  const all = await Promise.all(
    [0, 1, 2, 3].flatMap(n =>
      Object.entries(askers).map(async ([kind, by]) => [`${kind}${n}`, by(await cluster.tree())] as const),
    ),
  )
  const load = tally.load(Object.fromEntries(all), (who, n) => echoPrompt(`${who}-${n}`, 60), stop.signal)
  const moves = new Moves(cluster)
  const seen: string[] = []
  const faults: Record<string, () => Promise<void>> = {
    async delay() {
      proxy.way = 'delay'
      await sleep(LASTS_MS)
      // a slow worker is not a lost worker
      must((await cluster.workers()).length === 3, 'a worker that answers late was removed')
    },
    async drop() {
      for (const end = Date.now() + LASTS_MS; Date.now() < end; await sleep(1000)) proxy.cut()
    },
    async 'half-close'() {
      for (const end = Date.now() + LASTS_MS; Date.now() < end; await sleep(2000)) proxy.halfClose()
    },
    async blackhole() {
      proxy.way = 'blackhole'
      await until('both dead', 20_000, async () => (await cluster.workers()).length === 1)
      await sleep(LASTS_MS)
    },
    async trickle() {
      proxy.way = 'trickle'
      await sleep(LASTS_MS)
    },
  }
  let before = 0
  let workers = 0
  for (const [name, fault] of Object.entries(faults)) {
    // new workers each time: a worker that was cut off often is quarantined
    const ends = await Promise.all(
      [1, 2].map(() => workerBy(stage, cluster, proxy.address, `${++workers}`.padStart(32, 'a'))),
    )
    await cluster.ready(3)
    await until('they are used', 20_000, async () => (await cluster.workers()).every(({ active }) => active > 0))
    await fault()
    proxy.way = 'pass'
    await cluster.ready(3, 90_000)
    const now = await moves.count()
    must(name === 'delay' ? now === before : now > before, `${name}: ${now - before} answers were moved`)
    seen.push(`${name} ${now - before}`)
    before = now
    for (const end of ends) await end()
  }
  stop.abort()
  await within('the last answers', 60_000, load)
  const figures = tally.check(1)
  await until('nothing runs', 10_000, async () => (await cluster.status()).active === '0')
  for (const { name } of await cluster.workers())
    await until(`nothing runs on ${name}`, 70_000, async () =>
      / active=0 queue=0 /.test(await cluster.root.read(`${name}/status`)),
    )
  return `moves: ${seen.join(', ')}; ${figures}`
}

export const cut: Scenario = { name: 'cut', run: broken }
