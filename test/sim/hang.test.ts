/** Workers whose engine hangs while nothing more is asked of it. */
import t from 'tap'
import { Client } from '../../fs/client/client.js'
import { ORDWR } from '../../fs/wire/protocol.js'
import { Timeline } from './clock.js'
import { Cluster, DOOR } from './cluster.js'
import { Net } from './net.js'
import { Random } from './random.js'

const encoder = new TextEncoder()

/** A ready cluster of one worker with one slot, and its root as a user sees it. */
async function stage() {
  const time = new Timeline()
  const random = new Random('hang')
  const net = new Net(time, random)
  const temper = { rate: 5, first_token_ms: 0, load_ms: 10 }
  const events: string[] = []
  const cluster = new Cluster(time, net, random, { machines: [1], slots: 1, temper }, line => events.push(line))
  await time.run(5_000)
  const process = cluster.process('user', 'clients')
  const root = net
    .dial(process, DOOR)
    .then(transport => Client.connect(transport, { clock: process }))
    .then(client => client.attach({ uname: 'user', n_uname: 2000 }))
  await time.run(6_000)
  return { time, cluster, root: await root }
}

t.test('an answer that is cancelled on an engine that ignores it does not hold its slot for ever', async t => {
  const { time, cluster, root } = await stage()
  const [worker] = cluster.workers
  let cancelled = false
  const use = async () => {
    const fid = await (await root.walk(['generate'])).open(ORDWR)
    await fid.write(0, encoder.encode('{"prompt":"red green x1000"}'))
    await fid.read(0, 100)
    worker!.hung = 'deaf'
    await fid.clunk()
    cancelled = true
  }
  use()
  await time.run(20_000)
  t.ok(cancelled)
  t.ok(worker!.process.alive, 'the engine has some time to react')
  await time.run(60_000)
  t.notOk(worker!.process.alive, 'its host has ended it')
  t.equal(cluster.workers.length, 1, 'its host has started another')
})

t.test('a worker that does not answer a probe, though it is idle, is ended', async t => {
  const { time, cluster } = await stage()
  const [worker] = cluster.workers
  worker!.hung = 'hung'
  // it becomes suspect: it is probed again when it is back
  worker!.process.pause()
  await time.run(15_000)
  worker!.process.resume()
  await time.run(100_000)
  t.notOk(worker!.process.alive, 'its host has ended it')
  t.equal(cluster.workers.length, 1, 'its host has started another')
})
