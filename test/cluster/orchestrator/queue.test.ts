/** The queue of a cluster: positions, fairness between users, priorities, limits and cancellation. */
import t from 'tap'
import { rig, until } from './fixture.js'

t.test('a prompt that waits shows its position, and the queue is fair between users', async t => {
  const cluster = await rig(t, [{ rate: 40, slots: 1 }])
  const [ann, bob] = [await cluster.as('ann'), await cluster.as('bob')]
  const order: string[] = []
  const ask = async (who: typeof ann, name: string) => {
    await who.ask('data', `${name} x4`)
    order.push(name)
  }
  // nothing ends while the prompts are submitted
  const first = ann.ask('data', 'first x100000')
  first.catch(() => undefined)
  await until(async () => (await ann.names('task')).length === 1)
  const anns = ['a1', 'a2', 'a3', 'a4'].map(name => ask(ann, name))
  await until(async () => (await ann.names('task')).length === 5)
  const bobs = ['b1', 'b2'].map(name => ask(bob, name))
  await until(async () => (await bob.names('task')).length === 2)
  const [b1] = await bob.names('task')
  t.match(await bob.read(`task/${b1}/status`), / state=queued .*position=\d eta_s=[\d.]+/)
  await ann.write('task/1/ctl', 'cancel')
  await Promise.all([...anns, ...bobs])
  t.ok(order.indexOf('b1') <= 2, `not behind all prompts of the other user: ${order}`)
  t.ok(order.indexOf('b2') < order.indexOf('a4'), String(order))
})

t.test('in a full queue the newest prompt of the user with the most gives way to another user', async t => {
  const cluster = await rig(t, [])
  const [root, ann, bob, cat] = await Promise.all(['root', 'ann', 'bob', 'cat'].map(name => cluster.as(name)))
  await root!.write('ctl', 'queue max 4')
  const answers: Promise<string>[] = []
  const wait = async (who: typeof ann, prompt: string) => {
    const before = (await who!.names('task')).length
    answers.push(who!.ask('data', prompt).catch((error: Error) => error.message))
    await until(async () => (await who!.names('task')).length > before)
  }
  for (const prompt of ['a1', 'a2', 'a3', 'a4']) await wait(ann, prompt)
  await t.rejects(
    ann!.ask('data', 'a5'),
    { message: /^queue full, retry after \d+ s$/ },
    'a user does not evict their own',
  )
  await wait(bob, 'b1')
  t.match(await answers[3], /^queue full, retry after \d+ s$/, 'the newest prompt of the user with the most')
  await wait(bob, 'b2')
  t.match(await answers[2], /^queue full/)
  await t.rejects(bob!.ask('data', 'b3'), { message: /^queue full/ }, 'both have as many')
  await wait(cat, 'c1')
  t.match(await answers[1], /^queue full/)
  await cluster.add()
  const rest = await Promise.all([0, 4, 5, 6].map(i => answers[i]))
  t.same(rest, ['0:a1\n', '0:b1\n', '0:b2\n', '0:c1\n'])
})

t.test('a priority above 0 needs permission, and does not starve other users', async t => {
  const cluster = await rig(t, [{ rate: 100, slots: 1 }], { prioritised: ['cat'] })
  const [root, ann, cat] = await Promise.all(['root', 'ann', 'cat'].map(name => cluster.as(name)))
  const refused = /"error":"permission denied: priority 10: only admins and the users in priority.users/
  const request = (name: string, priority: number) =>
    JSON.stringify({ messages: [{ role: 'user', content: `${name} x2` }], priority })
  t.match(await ann!.ask('generate', request('a', 10)), refused)
  const via = [{ cluster: 'other', task: '1', attempt: 1 }]
  const forged = JSON.stringify({ ...JSON.parse(request('a', 10)), via })
  t.match(await ann!.ask('generate', forged), refused, 'also with a forged via')

  const order: string[] = []
  const ask = async (who: typeof ann, name: string, priority: number) => {
    await who!.ask('generate', request(name, priority))
    order.push(name)
  }
  const first = root!.ask('data', 'first x100000')
  first.catch(() => undefined)
  const waiting = async (who: typeof ann, n: number) =>
    until(
      async () =>
        (await Promise.all((await who!.names('task')).map(id => who!.read(`task/${id}/status`)))).filter(s =>
          / state=queued /.test(s),
        ).length === n,
    )
  await until(async () => (await root!.names('task')).length === 3)
  const running = (await root!.names('task')).at(-1)
  const low = ask(ann, 'low', -1)
  await waiting(ann, 1)
  const roots = Array.from({ length: 20 }, (_, i) => ask(root, `r${i}`, 10))
  const cats = [ask(cat, 'c0', 0), ask(cat, 'c1', 1)]
  await waiting(cat, 2)
  const anns = [ask(ann, 'a0', 0), ask(ann, 'a1', 0)]
  await waiting(ann, 3)
  const queued = (await ann!.names('task')).at(-1)
  await t.rejects(ann!.write(`task/${queued}/ctl`, 'priority 1'), { message: /^permission denied: priority 1: / })
  await root!.write(`task/${running}/ctl`, 'cancel')
  await Promise.all([low, ...roots, ...cats, ...anns])
  t.ok(order.indexOf('a0') <= 7, `twenty prompts of an admin do not keep another user waiting: ${order}`)
  t.ok(order.indexOf('r0') < order.indexOf('a0'), 'the prompts with a priority go first')
  t.ok(order.indexOf('c1') < order.indexOf('c0'), "a user's priority orders their own prompts")
  t.equal(order.at(-1), 'low')
})

t.test('with no worker a prompt waits, and its error says for how long', async t => {
  const cluster = await rig(t, [])
  const [root, ann] = [await cluster.as('root'), await cluster.as('ann')]
  await root.write('ctl', 'queue ttl 0.2 max 2')
  await t.rejects(ann.ask('data', 'hello'), { message: /^waited 0.2 s for a worker; retry after \d+ s$/, errno: 110 })
  await root.write('ctl', 'queue ttl 60')
  const waiting = [ann.ask('data', 'one'), ann.ask('data', 'two')]
  await until(async () => (await ann.names('task')).length === 3)
  await t.rejects(ann.ask('data', 'three'), { message: /^queue full, retry after \d+ s$/, errno: 16 })
  await cluster.add()
  t.same(await Promise.all(waiting), ['0:one\n', '0:two\n'], 'prompts that wait are answered when a worker joins')
})

t.test('an answer that is cancelled by rmdir or by ctl ends on its worker, too', async t => {
  const cluster = await rig(t, [{ rate: 20, slots: 2 }])
  const ann = await cluster.as('ann')
  const active = async () => /active=(\d+)/.exec(await ann.read('worker-0001/status'))![1]
  for (const cancel of [
    (id: string) => ann.write(`task/${id}/ctl`, 'cancel'),
    async (id: string) => (await ann.root.walk(['task', id])).remove(),
  ]) {
    const answer = ann.ask('data', 'a b x1000')
    answer.catch(() => undefined)
    await until(async () => (await active()) === '1')
    const [id] = (await ann.names('task')).slice(-1)
    await cancel(id!)
    await t.rejects(answer, { message: 'cancelled' })
    await until(async () => (await active()) === '0')
  }
})
