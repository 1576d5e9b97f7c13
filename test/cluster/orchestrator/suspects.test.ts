/** Workers that crash, hang, flap or break off answers, and prompts that crash workers. */
import t from 'tap'
import type { Engine } from '../../../cluster/worker/engine/engine.js'
import { TestClock } from '../clock.js'
import { events, Member, rig, say, text, until } from './fixture.js'

t.test('a prompt that crashed two workers is refused, and other prompts are not', async t => {
  const cluster = await rig(t, [{ rate: 20 }, { rate: 20 }])
  const [root, ann] = [await cluster.as('root'), await cluster.as('ann')]
  await root.write('ctl', 'retry tries 5 resumes 5')
  const { default: host } = await import('./host.js')
  const died = await host(cluster)
  const answer = ann.ask('data', 'poison x200')
  answer.catch(() => undefined)
  for (let i = 0; i < 2; i++) {
    let on = ''
    await until(async () => {
      on =
        (await cluster.status()).find(({ word, attrs }) => word === 'worker' && attrs.active === '1')?.attrs.name ?? ''
      return on !== ''
    })
    const member = cluster.members[Number(on.slice(-1)) - 1]!
    const boot = /boot=(\S+)/.exec(await ann.read(`${on}/status`))![1]!
    await member.kill()
    died(boot, 'SIGSEGV')
    if (i === 0) await member.start()
  }
  await t.rejects(answer, { message: 'request ended 2 workers' })
  await t.rejects(
    ann.ask('data', 'poison x200'),
    { message: 'request ended 2 workers' },
    'it is sent to no other worker',
  )
  for (const member of cluster.members) await member.start().catch(() => undefined)
  t.equal(await ann.ask('data', 'bread'), '0:bread\n')
  t.equal(text(await ann.events('generate', say('bread'))), '0:bread')
})

t.test('a joiner that hangs is refused and disconnected', async t => {
  const clock = new TestClock()
  const cluster = await rig(t, [], { clock })
  const member = new Member(cluster.cluster, {}, 'id-1')
  t.teardown(() => member.worker.close())
  const join = member.join.bind(member)
  let asked = false
  // it answers reads of its status, and no commands
  member.join = () => {
    const { walk } = member.worker.root
    member.worker.root.walk = (name, ctx) => {
      if (name !== 'ctl') return walk!(name, ctx)
      asked = true
      return new Promise(() => undefined)
    }
    join()
  }
  await member.start()
  await until(() => asked)
  let closed = false
  void member.session!.closed.then(() => {
    closed = true
  })
  await until(async () => {
    await clock.pass(1000)
    return closed
  })
  t.match(await events(cluster, 'join-refused'), [{ type: 'worker', error: /no Rflush within 10 s|interrupted/ }])
  await member.session!.closed
  t.same(
    (await cluster.status()).filter(({ word }) => word === 'worker'),
    [],
  )
})

t.test('a worker that keeps rejoining gets no prompts for a while, unless it is the last of its model', async t => {
  const clock = new TestClock()
  const cluster = await rig(t, [{}, {}], { clock })
  const [flapping, other] = cluster.members as [Member, Member]
  for (let i = 0; i < 3; i++) {
    flapping.cut()
    await until(async () => (await cluster.status()).filter(({ word }) => word === 'worker').length === 1)
    flapping.join()
    await cluster.ready()
  }
  t.match(await events(cluster, 'worker-quarantined'), [
    { worker: 'worker-0001', seconds: '30', error: 'joined 4 times within a minute' },
  ])
  const ann = await cluster.as('ann')
  await (await cluster.as('root')).write('ctl', 'strategy round-robin')
  const by = async (prompt: string) => (await ann.events('generate', say(prompt))).find(({ worker }) => worker)!.worker
  for (const prompt of ['a', 'b', 'c']) t.equal(await by(prompt), 'worker-0002')
  other.cut()
  await until(async () => (await cluster.status()).filter(({ word }) => word === 'worker').length === 1)
  t.equal(await by('d'), 'worker-0001', 'it is the last')
  other.join()
  await cluster.ready()
  t.equal(await by('e'), 'worker-0002')
  await clock.pass(30_000)
  await cluster.ready()
  t.same(new Set([await by('f'), await by('g')]), new Set(['worker-0001', 'worker-0002']), 'its quarantine is over')
})

t.test('a worker on which answers keep breaking off is quarantined, and no answer fails', async t => {
  let broken = 0
  const breaks = (_: string, engine: Engine): Engine => ({
    ...engine,
    async *generate(request, signal) {
      for await (const chunk of engine.generate(request, signal)) {
        yield chunk
        if (chunk.event !== 'token' || request.messages?.[0]?.content === 'ping') continue
        broken++
        throw new Error('broken')
      }
    },
  })
  const cluster = await rig(t, [{ engine: breaks }, {}])
  const ann = await cluster.as('ann')
  await (await cluster.as('root')).write('ctl', 'strategy round-robin')
  const prompts = Array.from({ length: 12 }, (_, i) => `a${i} b c`)
  for (const prompt of prompts) t.equal(await ann.ask('data', prompt), `0:${prompt.split(' ')[0]} 1:b 2:c\n`)
  t.equal(broken, 3)
  t.match(await events(cluster, 'worker-quarantined'), [
    { worker: 'worker-0001', seconds: '30', error: '3 answers in a row broke off' },
  ])
})

t.test('when a worker refuses a prompt its status is read, and another worker answers', async t => {
  const cluster = await rig(t, [{}, {}])
  const root = await cluster.as('root')
  await root.write('worker-0001/ctl', 'unload')
  for (let i = 0; i < 4; i++) t.equal(await root.ask('data', `p${i}`), `0:p${i}\n`)
  await root.write('worker-0002/ctl', 'drain')
  await root.write('ctl', 'queue ttl 0.3')
  await t.rejects(root.ask('data', 'nobody'), { message: /^waited 0.3 s for a worker; retry after/ })
  await root.write('ctl', 'resume worker-0002')
  await cluster.ready(1)
  t.equal(await root.ask('data', 'again'), '0:again\n')
})

t.test(
  "the end of a worker is logged under the worker's name, whether its host reports it before or after the connection ends",
  async t => {
    const cluster = await rig(t, [{}, {}])
    const ann = await cluster.as('ann')
    const { default: host } = await import('./host.js')
    const died = await host(cluster)
    const [first, second] = cluster.members as [Member, Member]
    const boot = async (name: string) => /boot=(\S+)/.exec(await ann.read(`${name}/status`))![1]!
    const [one, two] = [await boot('worker-0001'), await boot('worker-0002')]
    const ends = () => events(cluster, 'worker-ended')

    died(one, 'SIGKILL', 'ended by SIGKILL: out of memory (cgroup limit 1.5 GB)')
    await until(async () => (await ends()).length === 1)
    await first.kill()
    await second.kill()
    await until(async () => (await events(cluster, 'worker-left')).length === 2)
    died(two, 'SIGSEGV')
    // a second report, and a report of an unknown process, are ignored
    died(one, 'SIGKILL')
    died('feed', 'SIGKILL')
    await first.start()
    await cluster.ready(1)
    const again = await boot('worker-0001')
    died(again, 'SIGABRT', `GGML_ASSERT failed ${'x'.repeat(200)}`)
    await until(async () => (await ends()).length === 3)
    t.match(await ends(), [
      {
        worker: 'worker-0001',
        host: 'alpha',
        signal: 'SIGKILL',
        error: 'ended by SIGKILL: out of memory (cgroup limit 1.5 GB)',
      },
      { worker: 'worker-0002', signal: 'SIGSEGV', error: 'ended by SIGSEGV' },
      { worker: 'worker-0001', signal: 'SIGABRT', error: /^ended by SIGABRT: GGML_ASSERT failed x{200}$/ },
    ])
    t.match(
      (await cluster.status()).find(({ attrs }) => attrs.name === 'worker-0001'),
      { attrs: { ended: /^ended by SIGABRT: GGML_ASSERT failed x+…$/ } },
    )
  },
)
