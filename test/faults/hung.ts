/** The scenario `hung`: a worker gives no tokens any more. */

import { byGenerate, echoPrompt } from './clients.js'
import { Cluster } from './cluster.js'
import { type Scenario, type Stage, seconds, until, within } from './stage.js'

/**
 * A worker gives no tokens any more. Heartbeats are too rare to find it; the token watchdog finds it, and the worker is
 * killed.
 */
async function hangs(stage: Stage): Promise<string> {
  const cluster = await Cluster.start(stage, { env: { LLAMBO_ENGINE_RATE: '20' }, ctl: ['heartbeat 60'] })
  const events = await cluster.events()
  // the heartbeats before had another period
  await events.next('host-joined')
  const asked = byGenerate(await cluster.tree())(echoPrompt('one', 160))
  asked.catch(() => undefined)
  const victim = await cluster.answering()
  process.kill(victim.pid, 'SIGSTOP')
  const began = Date.now()
  const { error } = await events.next('worker-hung', { worker: victim.name }, 60_000)
  const found = Date.now() - began
  await within('the answer', 30_000, asked)
  const back = await until('another process of it', 60_000, async () =>
    (await cluster.workers()).find(
      ({ name, state, boot }) => name === victim.name && state === 'idle' && boot !== victim.boot,
    ),
  )
  return `found after ${seconds(found)} (${error}), killed, its answer whole, started again as ${back.name}`
}

export const hung: Scenario = { name: 'hung', run: hangs }
