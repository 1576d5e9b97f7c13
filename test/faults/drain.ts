/** The scenario `drain`: all workers are restarted and replaced. */

import { byData, echoPrompt, Tally } from './clients.js'
import { Cluster } from './cluster.js'
import { clients, Moves } from './kill.js'
import { must, type Scenario, type Stage, seconds, until } from './stage.js'

/** Every worker is replaced, one after another, while 20 programs ask. None of them notices. */
async function rolling(stage: Stage): Promise<string> {
  const cluster = await Cluster.start(stage, { slots: 8, env: { LLAMBO_ENGINE_RATE: '20' } })
  const host = (await cluster.root.names('host'))[0]!
  const before = await cluster.workers()
  const stop = new AbortController()
  const tally = new Tally()
  const began = Date.now()
  const load = tally.load(await clients(cluster, undefined), (who, n) => echoPrompt(`${who}-${n}`, 60), stop.signal)
  await cluster.answering()
  // in place: the worker is drained, killed and started again by its host
  for (const { name, id, boot } of before) {
    await cluster.root.write('ctl', `drain ${name}\n`)
    await until(`${name} drained`, 60_000, async () => (await cluster.worker(name)).active === 0)
    await cluster.root.write(`host/${host}/ctl`, `kill ${id}\n`)
    await until(`${name} again`, 60_000, async () => {
      const now = (await cluster.workers()).find(worker => worker.name === name)
      return now !== undefined && now.boot !== boot && /idle|busy/.test(now.state)
    })
  }
  // replaced: another worker is started, and the old one shut down
  for (const { name } of before) {
    await cluster.root.write('ctl', `spawn default 1\n`)
    await cluster.ready(4)
    await cluster.root.write('ctl', `shutdown ${name}\n`)
    await until(`${name} gone`, 60_000, async () => !(await cluster.workers()).some(worker => worker.name === name))
  }
  stop.abort()
  await load
  const figures = tally.check(1)
  must((await cluster.workers()).length === 3, 'there are not three workers left')
  await byData(cluster.root)(echoPrompt('last', 5))
  return `6 workers restarted or replaced in ${seconds(Date.now() - began)}, ${await new Moves(cluster).count()} moves, ${figures}`
}

export const drain: Scenario = { name: 'drain', run: rolling }
