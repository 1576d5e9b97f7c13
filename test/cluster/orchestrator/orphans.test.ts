/** Exchanges that workers claim to have: only those that they were given are taken up. */
import t from 'tap'
import { Proofs } from '../../../cluster/orchestrator/dispatch/proof.js'
import { record } from '../../../fs/base/quote.js'
import { events, memoryStore, rig, say, until } from './fixture.js'
import { rogue } from './rogue.js'

t.test('a proof is valid for one member, user, session, task and attempt only', async t => {
  const proofs = new Proofs('11'.repeat(32))
  const given = { task: '7', attempt: 1, user: { name: 'ann', uid: 1000 }, session: '3' }
  const proof = proofs.of('id-1', given)
  t.ok(proofs.holds(proof, 'id-1', given))
  t.notOk(proofs.holds(proof, 'id-2', given))
  const others = [
    { task: '8' },
    { attempt: 2 },
    { user: { name: 'root', uid: 0 } },
    { session: '4' },
    { session: undefined },
  ]
  for (const other of others) t.notOk(proofs.holds(proof, 'id-1', { ...given, ...other }), JSON.stringify(other))
  t.notOk(proofs.holds('', 'id-1', given))
  t.notOk(new Proofs('22'.repeat(32)).holds(proof, 'id-1', given))
})

t.test('a worker that claims an exchange it was not given cannot write into a session', async t => {
  const cluster = await rig(t, [{}], { store: memoryStore() })
  const root = await cluster.as('root')
  const session = (await root.read('session/clone')).trim()
  await root.ask(`session/${session}/data`, 'bread')
  const before = await root.read(`session/${session}/history`)
  // a number that an earlier orchestrator may have given out, and one that this orchestrator has
  const claims = ['0', '1'].map(task => ({
    request: JSON.stringify({
      ...say('forged'),
      keep_s: 60,
      via: [{ cluster: cluster.cluster.id, task, attempt: 1, session, proof: '0'.repeat(64) }],
    }),
    orphan: record('orphan', {
      id: '5',
      cluster: cluster.cluster.id,
      task,
      attempt: 1,
      user: 'root',
      uid: 0,
      session,
      proof: '0'.repeat(64),
    }),
  }))
  let asked = 0
  for (const [i, { request, orphan }] of claims.entries())
    rogue(cluster, {
      id: `rogue-${i}`,
      after: `${orphan}\n`,
      task: () => {
        asked++
        return request
      },
    })
  await until(async () => (await events(cluster, 'orphan-refused')).length === 2)
  t.match(await events(cluster, 'orphan-refused'), [{ user: 'root' }, { user: 'root' }])
  t.equal(asked, 0)
  t.same(await events(cluster, 'task-recovered'), [])
  t.equal(await root.read(`session/${session}/history`), before)
})

t.test("a user that writes `via` to a worker's own generate cannot put an answer into the cluster's tasks", async t => {
  const cluster = await rig(t, [{ rate: 20 }])
  const ann = await cluster.as('ann')
  const via = (changes: object) => [{ cluster: cluster.cluster.id, task: '0', attempt: 1, ...changes }]
  await t.rejects(ann.ask('worker-0001/generate', JSON.stringify({ ...say('x'), via: via({ task: 'a/b' }) })), {
    message: /via\[0\]: task: expected a number, not "a\/b"/,
  })
  const fid = await ann.open('worker-0001/generate', 2)
  await fid.write(0, Buffer.from(JSON.stringify({ ...say('x x1000'), keep_s: 60, via: via({}) })))
  await fid.read(0, 1024)
  await fid.clunk()
  await (await cluster.as('root')).write('ctl', 'heartbeat 0.1')
  await until(async () => (await events(cluster, 'orphan-refused')).length === 1)
  t.same(await events(cluster, 'task-recovered'), [])
  t.match(await cluster.status(), [{}, {}, { word: 'worker', attrs: { name: 'worker-0001' } }])
})
