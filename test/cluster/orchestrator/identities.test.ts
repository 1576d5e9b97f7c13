/** Which joiners are admitted under which id, and how long their names and secrets are kept. */
import t from 'tap'
import { joinedOptions, joinedRoot } from '../../../cluster/joining.js'
import { IDENTITY_MS, MAX_IDENTITIES, NAME_GRACE_MS } from '../../../cluster/orchestrator/limits.js'
import { Identities } from '../../../cluster/orchestrator/members/identities.js'
import { Names } from '../../../cluster/orchestrator/members/names.js'
import { Restored, Saver, type Store } from '../../../cluster/orchestrator/saved.js'
import { newSecret } from '../../../cluster/secret.js'
import { Client } from '../../../fs/client/client.js'
import { serve } from '../../../fs/server/server.js'
import { transportPair } from '../../../fs/transport/pair.js'
import { OREAD } from '../../../fs/wire/protocol.js'
import { TestClock } from '../clock.js'
import { events, memoryStore, rig, until } from './fixture.js'
import { rogue } from './rogue.js'

const restored = (store?: Store) => new Restored(store, () => undefined, t.fail)
const denied = { message: /^permission denied: id a belongs to a joiner with another secret/ }

t.test('an id that came with a secret is admitted only with that secret, also after a restart', async t => {
  const clock = new TestClock()
  const files = new Map<string, string>()
  const store = memoryStore(files)
  const make = () => new Identities(restored(store), new Saver(store, t.fail), clock)
  const [one, other] = [newSecret(), newSecret()]
  const first = make()
  first.admit('a', one)
  first.admit('a', one)
  first.admit('old', undefined)
  t.throws(() => first.admit('a', other), denied)
  t.throws(() => first.admit('a', undefined), denied)
  await until(() => files.has('joiners'))
  t.notOk(files.get('joiners')!.includes(one), 'the secret itself is not stored')
  const second = make()
  t.throws(() => second.admit('a', other), denied)
  second.admit('a', one)
  files.set('joiners', 'rubbish\u0000')
  make().admit('a', other)
  files.clear()
  make().admit('a', other)
})

t.test('a joiner that stays away for a month is forgotten, and the oldest earlier if there are too many', async t => {
  const clock = new TestClock()
  const files = new Map<string, string>()
  const store = memoryStore(files)
  const one = newSecret()
  new Identities(restored(store), new Saver(store, t.fail), clock).admit('a', one)
  await until(() => files.has('joiners'))
  const old = files.get('joiners')!.replace(/seen=(\d+)/, (_, seen) => `seen=${Math.max(0, seen - IDENTITY_MS)}`)
  files.set('joiners', old)
  new Identities(restored(store), undefined, clock).admit('a', newSecret())
  const many = new Identities(restored(), undefined, clock)
  const joined = (id: string) => id === 'a'
  many.admit('a', one)
  many.admit('b', one)
  for (let i = 0; i < MAX_IDENTITIES; i++) many.admit(`id-${i}`, one, joined)
  many.admit('b', newSecret(), joined)
  t.throws(() => many.admit('a', newSecret()), denied, 'a joiner that is connected is not forgotten')
})

t.test('a name is free again some minutes after its worker has left', async t => {
  const clock = new TestClock()
  const names = new Names(clock)
  t.equal(names.of('a', ''), 'worker-0001')
  names.left('a')
  t.equal(names.of('b', ''), 'worker-0002')
  t.equal(names.of('a', ''), 'worker-0001')
  names.left('a')
  await clock.pass(NAME_GRACE_MS)
  t.equal(names.of('c', ''), 'worker-0001')
  t.equal(names.of('a', 'worker-0002'), 'worker-0003')
})

t.test("a peer that only knows a worker's id and boot cannot take its place", async t => {
  const cluster = await rig(t, [{}], { store: memoryStore() })
  const [victim] = cluster.members
  const worker = (await cluster.status()).find(({ word }) => word === 'worker')!.attrs
  const { id = '', boot = '' } = worker
  const thief = rogue(cluster, { id, attrs: { boot }, secret: newSecret() })
  await thief.closed
  const naked = rogue(cluster, { id, attrs: { boot } })
  await naked.closed
  t.match(await events(cluster, 'join-refused'), [{ error: /another secret/ }, { error: /another secret/ }])
  t.same(await events(cluster, 'worker-left'), [])
  t.equal(await (await cluster.as('ann')).ask('data', 'bread'), '0:bread\n')
  // the worker itself may come back, as often as its connection breaks
  victim!.cut()
  await until(async () => (await events(cluster, 'worker-left')).length === 1)
  victim!.join()
  await cluster.ready()
})

t.test('a secret can be read by the cluster, and by no user behind it', async t => {
  const [near, far] = transportPair()
  const owner = { name: 'root', uid: 0 }
  const cluster = await rig(t, [])
  const session = serve(far, {
    attachOptions: joinedOptions,
    attach: ({ options }) => ({
      root: joinedRoot(cluster.cluster.root, 'the secret', owner, options),
      user: { ...owner, role: 'admin' },
    }),
  })
  t.teardown(() => session.close())
  const client = await Client.connect(near)
  const secret = await client.attach({ uname: 'root', aname: '/?role=admin&secret=yes' })
  await secret.open(OREAD)
  t.equal(Buffer.from(await secret.read(0, 100)).toString(), 'the secret')
  const files = await (await client.attach({ uname: 'root', aname: '/?role=admin' })).walk([])
  await files.open(OREAD)
  t.notOk((await files.list()).some(({ name }) => name.includes('secret')))
})
