/** The scenario `nested`: clusters within clusters. */

import { byGenerate, echoPrompt } from './clients.js'
import { Cluster } from './cluster.js'
import { failure, must, type Scenario, type Stage, seconds, until, within } from './stage.js'

/** A cluster in a cluster in a cluster. */
async function nests(stage: Stage): Promise<string> {
  const env = { LLAMBO_ENGINE_RATE: '20' }
  const into = (outer: Cluster) => ['--join', `unix!${outer.path('join')}`]
  const top = await Cluster.start(stage, { workers: 0, env })
  const middle = await Cluster.start(stage, { workers: 0, env, args: into(top) })
  const bottom = await Cluster.start(stage, { workers: 2, env, args: into(middle), ctl: ['retry resumes 5'] })
  await middle.ready(1)
  await top.ready(1)
  const events = await top.events()
  const { clusters } = await top.status()
  const ids = await Promise.all([bottom, middle, top].map(async cluster => (await cluster.status()).id!))
  must(
    ids.every(id => clusters!.split(',').includes(id)),
    `clusters=${clusters}`,
  )

  await byGenerate(await top.tree())(echoPrompt('all', 5))
  // a worker is killed at the bottom: the clusters above do not notice
  const asked = byGenerate(await top.tree())(echoPrompt('through', 100))
  asked.catch(() => undefined)
  process.kill((await bottom.answering()).pid, 'SIGKILL')
  const killed = Date.now()
  await bottom.answering(1)
  const moved = Date.now() - killed
  await within('the answer', 30_000, asked)
  must((await top.newest())?.resumed === '0', 'the top has moved it as well')

  // cancelled at the top, the task ends at the bottom
  const long = byGenerate(await top.tree())(echoPrompt('long', 400))
  const said = failure('cancelled', long)
  await bottom.answering()
  const [id, below] = [(await top.newest())!.id!, (await bottom.newest())!.id!]
  await (await top.root.root.walk(['task', id])).remove()
  const cancelled = Date.now()
  await said
  await until('it has ended at the bottom', 10_000, async () => {
    const task = await bottom.task(below).catch(() => undefined)
    return task === undefined || task.state === 'cancelled'
  })
  await until('nothing runs there', 10_000, async () => (await bottom.workers()).every(({ active }) => active === 0))
  const ended = Date.now() - cancelled

  // the middle cluster dies in the middle of an answer
  const before = (await top.newest())?.id
  const lost = failure('the answer', byGenerate(await top.tree())(echoPrompt('lost', 200)))
  await until('its first tokens at the top', 30_000, async () => {
    const task = await top.newest()
    return task !== undefined && task.id !== before && Number(task.completion_tokens) > 0
  })
  middle.run.child.kill('SIGKILL')
  await events.next('worker-left')
  await top.root.write('ctl', 'queue ttl 1\n')
  const none = await within('its end', 40_000, lost)
  must(/^worker lost after \d+ tokens/.test(none.message), none.message)

  // they come back as a ring: the connection that would close it is refused
  await top.stop()
  await Promise.all([middle.up(), top.up(into(bottom))])
  const told = await Promise.all([bottom, middle, top].map(cluster => cluster.events()))
  const error = await until('a ring that is refused', 60_000, async () =>
    told
      .flatMap(events => events.all('join-refused'))
      .map(({ error }) => error!)
      .find(error => /ring/.test(error)),
  )
  await byGenerate(await bottom.tree())(echoPrompt('still', 5))
  return `answers two deep, a worker killed at the bottom moves in ${seconds(moved)}, a cancel is there after ${seconds(ended)}; '${error}'; '${none.message}'`
}

export const nested: Scenario = { name: 'nested', run: nests }
