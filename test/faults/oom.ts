/** The scenario `oom`: the kernel kills a worker that is out of memory. */

import { bytes } from '../../cli/output.js'
import { parseRecords } from '../../fs/base/quote.js'
import { Group } from '../cgroup.js'
import { byGenerate, echo } from './clients.js'
import { Cluster } from './cluster.js'
import { must, type Scenario, type Stage, seconds, until, within } from './stage.js'

const MiB = 2 ** 20
/** How much memory is left to the group when its limit is set: less than one of the answers needs. */
const LEFT = 16 * MiB
/** An answer of 15 MB, by engine echo. */
const WORDS = ['y'.repeat(60_000), 'z']
const loud = { text: `${WORDS.join(' ')} x500`, answer: echo(WORDS, 500) }
/** How many such answers are asked for at once, and how often at most. */
const AT_ONCE = 4
const ROUNDS = 20

/**
 * A server and its workers share a memory cgroup and reach its limit: the kernel kills a worker, and the server reports
 * what it died of.
 */
async function starves(stage: Stage): Promise<string> {
  const group = Group.make()
  must(group, 'no memory cgroup')
  stage.teardown(() => group.remove())
  const cluster = await Cluster.start(stage, { workers: 2, ctl: ['retry resumes 5'], within: group.within })
  const events = await cluster.events()
  const before = await cluster.workers()
  const limit = Math.ceil((group.usage + LEFT) / MiB) * MiB
  group.limit(limit)
  const began = Date.now()
  let ended: Record<string, string> | undefined
  let answers = 0
  for (let round = 0; !ended; round++) {
    must(round < ROUNDS, `${answers} answers of 15 MB fit into ${bytes(limit)}`)
    const asked = Promise.all(Array.from({ length: AT_ONCE }, async () => byGenerate(await cluster.tree())(loud)))
    asked.catch(() => undefined)
    let over = false
    void asked.finally(() => (over = true)).catch(() => undefined)
    await until('the answers, or the end of a worker', 240_000, () => {
      ended = events.all('worker-ended')[0]
      return over || ended
    })
    // the limit is lifted, and another worker continues the answer of that worker
    if (ended) group.limit(undefined)
    await within('the answers', 240_000, asked)
    answers += AT_ONCE
  }
  const took = Date.now() - began
  const why = `ended by SIGKILL: out of memory (cgroup limit ${bytes(limit)})`
  const { error, worker } = ended
  must(error === why, `events: ${error}`)
  must(cluster.run.child.exitCode === null, 'the server has ended')
  const [dead] = before.filter(({ name }) => name === worker)
  const again = await until(`${worker} again`, 60_000, async () =>
    (await cluster.workers()).find(
      ({ name, boot, state }) => name === worker && boot !== dead?.boot && state === 'idle',
    ),
  )
  const status = parseRecords(await cluster.root.read('status'))
  const attrs = status.find(({ word, attrs }) => word === 'worker' && attrs.name === again.name)!.attrs
  must(attrs.ended === why, `status: ended=${attrs.ended}`)
  return `after ${seconds(took)} ${worker} ${why}, in events and status; ${answers} answers of 15 MB whole`
}

/** Why a memory cgroup cannot be made here; empty if it can. */
async function lacks(): Promise<string> {
  const group = Group.make()
  await group?.remove()
  return group ? '' : 'no memory cgroup can be made here (it takes root, and cgroups that can be written)'
}

export const oom: Scenario = { name: 'oom', lacks, run: starves }
