/** The scenario `queue`: requests that wait. */

import { type Asker, byData, byGenerate, echoPrompt } from './clients.js'
import { Cluster } from './cluster.js'
import { failure, must, type Scenario, type Stage, until, within } from './stage.js'

/** Requests wait: for how long, in which order, and how they are refused and cancelled. */
async function waits(stage: Stage): Promise<string> {
  const cluster = await Cluster.start(stage, {
    workers: 1,
    slots: 1,
    env: { LLAMBO_ENGINE_RATE: '20' },
    ctl: ['queue max 3 ttl 30'],
  })
  const events = await cluster.events()
  const [owner, other] = [byData(await cluster.tree()), byData(await cluster.tree({ name: 'nobody', uid: 65534 }))]
  const done: string[] = []
  /** Starts to ask, and waits until the request is a task. */
  const begin = async (who: string, asker: Asker, tokens: number) => {
    const before = (await cluster.newest())?.id
    const asked = asker(echoPrompt(who, tokens)).then(() => void done.push(who))
    asked.catch(() => undefined)
    const id = await until(`${who} is a task`, 5000, async () => {
      const task = await cluster.newest()
      return task?.id !== before && task?.id
    })
    return { asked, id }
  }

  // the queue is full
  const a = await begin('a', owner, 60)
  const b = await begin('b', owner, 10)
  const c = await begin('c', owner, 10)
  const d = await begin('d', other, 10)
  const full = await failure('one too many', owner(echoPrompt('e', 10)))
  must(/^queue full, retry after \d+ s$/.test(full.message), full.message)
  // in order: fair between users, with position and estimate
  const places = await Promise.all([b, c, d].map(async ({ id }) => cluster.task(id)))
  must(places.map(({ state }) => state).join() === 'queued,queued,queued', JSON.stringify(places))
  must(places.map(({ position }) => position).join() === '1,3,2', `positions ${places.map(p => p.position)}`)
  must(
    places.every(({ eta_s }) => Number(eta_s) > 0),
    `estimates ${places.map(p => p.eta_s)}`,
  )
  await within('all four', 30_000, Promise.all([a, b, c, d].map(({ asked }) => asked)))
  must(done.join() === 'a,b,d,c', `they ended in the order ${done}`)

  // priority
  done.length = 0
  const first = await begin('first', owner, 40)
  const low = await begin('low', owner, 5)
  const high = await begin('high', byGenerate(await cluster.tree(), { priority: 5 }), 5)
  await within('three', 30_000, Promise.all([first, low, high].map(({ asked }) => asked)))
  must(done.join() === 'first,high,low', `they ended in the order ${done}`)

  // cancelled by rmdir and by ctl, while they wait and while they run
  const runs = await begin('runs', owner, 400)
  const waits = await begin('waits', owner, 5)
  const third = await begin('third', owner, 5)
  await cluster.root.write(`task/${waits.id}/ctl`, 'cancel\n')
  must((await failure('cancelled by ctl', waits.asked)).message === 'cancelled', 'cancelled by ctl')
  await until('it runs', 5000, async () => (await cluster.task(runs.id)).state === 'running')
  await (await cluster.root.root.walk(['task', runs.id])).remove()
  must((await failure('cancelled by rmdir', runs.asked)).message === 'cancelled', 'cancelled by rmdir')
  must(!(await cluster.root.names('task')).includes(runs.id), 'rmdir leaves the task')
  await within('the one behind', 5000, third.asked)
  await until('the worker is told', 5000, async () => (await cluster.worker('worker-0001')).active === 0)

  // too late
  await cluster.root.write('ctl', 'queue ttl 1\n')
  const long = await begin('long', owner, 60)
  const late = await begin('late', owner, 5)
  const expired = await failure('late', late.asked)
  must(/^waited 1 s for a worker; retry after \d+ s$/.test(expired.message), expired.message)
  await within('the long one', 10_000, long.asked)

  // no worker at all
  await cluster.root.write('ctl', 'shutdown worker-0001\n')
  await events.next('worker-left')
  const none = await failure('no worker', owner(echoPrompt('none', 5)))
  must(/^waited 1 s for a worker; retry after \d+ s$/.test(none.message), none.message)
  await cluster.root.write('ctl', 'queue ttl 30\n')
  const patient = await begin('patient', owner, 5)
  await cluster.root.write('ctl', 'spawn default\n')
  await within('one that waits for a worker to come', 30_000, patient.asked)
  return `'${full.message}'; fair between users, priorities; cancelled by ctl and rmdir; '${expired.message}', the same without a worker; one that comes answers what waits`
}

export const queue: Scenario = { name: 'queue', run: waits }
