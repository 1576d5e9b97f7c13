/** Clusters that have joined other clusters. */
import t from 'tap'
import type { Engine } from '../../../cluster/worker/engine/engine.js'
import { OWRITE } from '../../../fs/wire/protocol.js'
import { TestClock } from '../clock.js'
import { events, ids, joins, type Rig, rig, say, until } from './fixture.js'

t.test('a cluster joins another as one worker, two levels deep, and a ring is refused', async t => {
  const [top, middle, bottom] = [await rig(t, []), await rig(t, []), await rig(t, [{ rate: 50 }, { rate: 50 }])]
  joins(bottom, middle)
  joins(middle, top)
  await middle.ready(1)
  await top.ready(1)
  const ann = await top.as('ann')
  const [server] = await top.status()
  t.equal(server!.attrs.clusters!.split(',').length, 3, 'the top knows all clusters below')
  t.equal(await ann.ask('data', 'red green'), '0:red 1:green\n')
  t.match(await ann.read('worker-0001/worker-0001/worker-0002/status'), /^server name=worker-0002 kind=worker/)

  const models = await (await top.as('root')).root.walk(['models'])
  await t.rejects(models.create('x.gguf', 0o644, OWRITE), {
    message: /no worker is on this machine; write to worker-0001/,
  })

  const answer = ann.events('generate', say('a b x40'))
  const root = await bottom.as('root')
  await until(async () => /active=1/.test(await root.read('status')))
  const on = (await bottom.status()).find(({ word, attrs }) => word === 'worker' && attrs.active === '1')!.attrs.name!
  await bottom.members[Number(on.slice(-1)) - 1]!.kill()
  t.same(
    ids(await answer),
    Array.from({ length: 40 }, (_, i) => i),
    'a death at the bottom is not noticed at the top',
  )

  const long = ann.ask('data', 'a b x1000')
  long.catch(() => undefined)
  await until(async () => /active=1/.test(await root.read('status')))
  const [id] = (await ann.names('task')).slice(-1)
  await ann.write(`task/${id}/ctl`, 'cancel')
  await t.rejects(long, { message: 'cancelled' })
  await until(async () => /active=0/.test(await root.read('status')))

  await joins(top, bottom).closed
  t.match(await root.read('error'), /^$/)
  const events = await bottom.as('root')
  const fid = await events.open('event', 0)
  t.match(Buffer.from(await fid.read(0, 65536)).toString(), /kind=join-refused .*joining would form a ring/)
  const via = [{ cluster: bottom.cluster.id, task: '1', attempt: 1 }]
  t.match((await root.events('generate', { ...say('x'), via })).at(-1), {
    error: /already passed this cluster as task 1/,
  })
})

t.test(
  'a worker that hangs in a cluster below is found there; the cluster above does not consider that cluster hung',
  async t => {
    const clock = new TestClock()
    let hangs = true
    const engine = (_: string, echo: Engine): Engine => ({
      ...echo,
      async *generate(request, signal) {
        for await (const chunk of echo.generate(request, signal)) {
          yield chunk
          if (chunk.event !== 'token' || request.messages?.[0]?.content === 'ping' || !hangs) continue
          hangs = false
          await new Promise(() => undefined)
        }
      },
    })
    const [top, below] = [await rig(t, [], { clock }), await rig(t, [{ engine }, { engine }], { clock })]
    joins(below, top)
    await top.ready(1)
    const ann = await top.as('ann')
    let answer = ''
    void ann.ask('data', 'a b x4').then(text => {
      answer = text
    })
    await until(() => !hangs)
    await until(async () => {
      await clock.pass(500)
      // this gives the heartbeats time to be answered
      await below.status()
      await top.status()
      return answer !== ''
    })
    t.equal(answer, '0:a 1:b 2:a 3:b\n')
    t.equal((await events(below, 'worker-hung')).length, 1)
    t.same(await events(top, 'worker-hung'), [])
  },
)

t.test(
  'when clusters join one another in a ring at the same moment, one connection is ended and the others hold',
  async t => {
    // five unanswered heartbeats remove a member: this interval bears a machine that stands still for two seconds
    const settings = { heartbeat_s: 0.5 }
    const all = [await rig(t, [], { settings }), await rig(t, [], { settings }), await rig(t, [{}], { settings })]
    const [a, b, c] = all as [Rig, Rig, Rig]
    joins(a, b)
    joins(b, c)
    joins(c, a)
    const clusters = async (of: Rig) => (await of.status()).filter(({ attrs }) => attrs.kind === 'cluster').length - 1
    const joined = async () => (await clusters(a)) + (await clusters(b)) + (await clusters(c))
    await until(async () => (await Promise.all(all.map(of => events(of, 'join-refused')))).flat().length > 0)
    await until(async () => (await joined()) === 2)
    const [refused] = (await Promise.all(all.map(of => events(of, 'join-refused')))).flat()
    t.match(refused!.error, /joining would form a ring/)
  },
)
