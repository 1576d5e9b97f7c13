/** What joiners cost a cluster: the memory of their connections, and the time that commands wait for them. */
import t, { type Test } from 'tap'
import { COMMAND_MS, DEAD_AFTER } from '../../../cluster/orchestrator/limits.js'
import { Hosts } from '../../../cluster/orchestrator/members/hosts.js'
import type { Peer } from '../../../cluster/orchestrator/members/peer.js'
import { Budget } from '../../../cluster/root/budget.js'
import { CONNECTION_BYTES } from '../../../fs/base/limits.js'
import { EventLog } from '../../../fs/kit/event-log.js'
import { transportPair } from '../../../fs/transport/pair.js'
import { pack } from '../../../fs/wire/message.js'
import { TestClock } from '../clock.js'
import { events, rig, until } from './fixture.js'

const JOINERS = 'connections of joiners'

/** A joiner that answers Tversion, and then only what a test sends for it. */
async function silent(t: Test, limit: number) {
  const budget = new Budget({ limit })
  const cluster = await rig(t, [], { budget })
  const [near, far] = transportPair()
  let asked = 0
  far.ondata = () => {
    if (asked++ === 0)
      far.send([[pack({ type: 'Rversion', tag: 0xffff, msize: 128 * 1024, version: '9P2000.u' }, '9P2000.u')]])
  }
  void cluster.cluster.join(near)
  const counted = () => budget.usedBy(JOINERS)
  return { budget, cluster, far, counted, greeted: () => until(() => asked >= 2) }
}

/** The first `length` bytes of an Rread; its tag is that of the first request on a connection. */
const half = (length: number) =>
  pack({ type: 'Rread', tag: 0, data: new Uint8Array(120_000) }, '9P2000.u').slice(0, length)

t.test('the connection of a joiner counts, with half a message on it, until it is closed', async t => {
  const { far, counted, greeted, budget } = await silent(t, 10e6)
  t.equal(counted(), CONNECTION_BYTES)
  await greeted()
  far.send([[half(100_000)]])
  await until(() => counted() >= CONNECTION_BYTES + 100_000)
  t.ok(counted() <= CONNECTION_BYTES + 128 * 1024, `${counted()} bytes, and no more than the whole message`)
  far.destroy()
  await until(() => counted() === 0)
  t.equal(budget.used, 0)
})

t.test('a joiner for whose connection there is no room is refused, and the events say so', async t => {
  const { budget, cluster, far, counted } = await silent(t, 1e6)
  far.destroy()
  await until(() => counted() === 0)
  budget.hold({ name: 'ann' }).add(1e6)
  const [near, other] = transportPair()
  let closed = false
  other.onclose = () => {
    closed = true
  }
  await cluster.cluster.join(near)
  await until(() => closed)
  t.equal(counted(), 0)
  const refused = (await events(cluster, 'join-refused')).at(-1)
  t.match(refused, { error: /^over the memory budget of this server: connections of joiners holds / })
})

t.test('half messages of all joiners get one share: one too many is refused, and its joiner with it', async t => {
  const { budget, cluster, far, greeted, counted } = await silent(t, 1e6)
  await greeted()
  budget.hold({ name: JOINERS }).add(500_000)
  far.send([[half(100_000)]])
  await new Promise(resolve => setTimeout(resolve, 20))
  t.ok(counted() < 500_000 + 2 * CONNECTION_BYTES, `${counted()} bytes: the message is not kept`)
  far.send([[half(120_011).slice(100_000)]])
  await until(async () => (await events(cluster, 'join-refused')).length > 0)
  t.match(await events(cluster, 'join-refused'), [{ error: /^over the memory budget of this server: / }])
})

t.test('a command that a worker does not carry out ends in an error that names both', async t => {
  const clock = new TestClock()
  const cluster = await rig(t, [{}], { clock })
  const { root: files } = cluster.members[0]!.worker
  const { walk } = files
  files.walk = (name, ctx) => (name === 'ctl' ? new Promise<never>(() => undefined) : walk!(name, ctx))
  const root = await cluster.as('root')
  let failure: Error | undefined
  const unloading = root.write('ctl', 'unload echo worker-0001').catch(error => {
    failure = error
  })
  await until(async () => {
    await clock.pass(1000)
    return failure !== undefined || clock.now() > 3 * COMMAND_MS
  })
  t.match(failure, {
    message: 'i/o error: worker-0001 did not answer unload within 15 s; try again, or end that process',
  })
  files.walk = walk!
  if (failure) await unloading
})

t.test('a host is not disconnected for the heartbeats that this process slept through', async t => {
  let now = 0
  let beat: () => void = () => undefined
  const clock = {
    now: () => now,
    date: () => now,
    after(_: number, call: () => void) {
      beat = call
      return () => undefined
    },
  }
  const never = new Promise<never>(() => undefined)
  const peer = {
    report: { id: 'h', name: 'alpha' },
    client: { closed: never },
    refreshing: true,
    as: () => never,
    refreshStatus: () => never,
    close: () => undefined,
  } as unknown as Peer
  const events = new EventLog()
  const self = { name: 'root', uid: 0, role: 'admin' } as const
  const hosts = new Hosts({ clock, events, self, settings: { heartbeat_s: 3 }, exited: () => undefined })
  hosts.join(peer)
  const pass = (ms: number) => {
    now += ms
    beat()
  }
  // the first of the missed heartbeats was counted when it joined
  for (let i = 1; i < DEAD_AFTER - 1; i++) pass(3000)
  pass(3_600_000)
  t.ok(hosts.has('h'), 'a laptop that was closed for an hour')
  pass(3000)
  t.notOk(hosts.has('h'), 'the next missed heartbeat counts again')
})
