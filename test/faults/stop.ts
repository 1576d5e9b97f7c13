/** The scenario `stop`: a worker is suspended in the middle of an answer. */

import { byGenerate, echoPrompt } from './clients.js'
import { Cluster } from './cluster.js'
import { must, type Scenario, type Stage, seconds, until, within } from './stage.js'

/**
 * A worker is stopped in the middle of an answer, and its missing heartbeats are noticed. When it is continued, it
 * works as if nothing had happened.
 */
async function stopped(stage: Stage): Promise<string> {
  const cluster = await Cluster.start(stage, { env: { LLAMBO_ENGINE_RATE: '20' }, ctl: ['heartbeat 0.3'] })
  const events = await cluster.events()
  const asked = byGenerate(await cluster.tree())(echoPrompt('one', 160))
  asked.catch(() => undefined)
  // by then every heartbeat comes at the period that was just set
  await until('some tokens', 20_000, async () => Number((await cluster.newest())?.completion_tokens) > 75)
  const victim = await cluster.answering()
  process.kill(victim.pid, 'SIGSTOP')
  const began = Date.now()
  stage.teardown(() => process.kill(victim.pid, 'SIGCONT'))
  await events.next('worker-suspect', { worker: victim.name })
  const suspect = Date.now() - began
  await events.next('worker-left', { worker: victim.name })
  const left = Date.now() - began
  must(!(await cluster.root.names('')).includes(victim.name), `${victim.name} is in the tree though it is dead`)
  await cluster.answering(1)
  const moved = Date.now() - began
  process.kill(victim.pid, 'SIGCONT')
  const again = Date.now()
  const back = await until(`${victim.name} back`, 40_000, async () =>
    (await cluster.workers()).find(({ name, state }) => name === victim.name && state === 'idle'),
  )
  const came = Date.now() - again
  must(back.boot === victim.boot && back.id === victim.id, 'another process came back under its name')
  await within('the answer', 30_000, asked)
  // the worker does not continue what it had been answering
  await until('no task on it', 10_000, async () =>
    / active=0 queue=0 /.test(await cluster.root.read(`${victim.name}/status`)),
  )
  await byGenerate(await cluster.tree())(echoPrompt('two', 10))
  return `suspect after ${seconds(suspect)}, dead after ${seconds(left)}, its answer goes on after ${seconds(moved)}; back ${seconds(came)} after SIGCONT`
}

export const stop: Scenario = { name: 'stop', run: stopped }
