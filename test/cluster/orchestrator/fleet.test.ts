/** Starting, scaling and ending workers on hosts, in a whole cluster on virtual time. */
import t, { type Test } from 'tap'
import type { Exit } from '../../../cluster/host/process.js'
import { createHost, type Host } from '../../../cluster/host.js'
import { memoryReader } from '../../../cluster/memory.js'
import { createOrchestrator } from '../../../cluster/orchestrator/orchestrator.js'
import { createEchoEngine } from '../../../cluster/worker/engine/echo.js'
import type { ModelStore } from '../../../cluster/worker/models.js'
import { createWorker } from '../../../cluster/worker/worker.js'
import { parseRecords } from '../../../fs/base/quote.js'
import { Client } from '../../../fs/client/client.js'
import type { File, User } from '../../../fs/file.js'
import { dir } from '../../../fs/kit/dir.js'
import { serve } from '../../../fs/server/server.js'
import { transportPair } from '../../../fs/transport/pair.js'
import { settled, TestClock } from '../clock.js'
import { Tree } from '../worker/fixture.js'

const owner = { name: 'root', uid: 0 }
const GiB = 1024 ** 3

/** A cluster in one process on virtual time: its hosts start workers with the engine echo, at one token a second. */
async function rig(t: Test, memories: readonly number[] = [64 * GiB], called = (i: number) => `host-${i}`) {
  // no disk: virtual time does not wait for real I/O
  const store = { root: dir(new Map(), owner), list: async () => [] } as unknown as ModelStore
  const clock = new TestClock()
  let seed = 0
  const random = () => (seed = (seed + 0.618034) % 1)
  const cluster = createOrchestrator({
    name: 'c',
    version: '0.0.0',
    owner,
    host: 'host-0',
    clock,
    random,
    shutdown: () => undefined,
  })
  const join = (root: File) => {
    const [near, far] = transportPair()
    const session = serve(far, {
      clock,
      attachOptions: ['role'],
      attach: ({ uname, n_uname, options }) => ({
        root,
        user: { name: uname, uid: n_uname, role: options.get('role') as User['role'] },
      }),
    })
    void cluster.join(near)
    return session
  }
  const hosts = memories.map((memory, i): Host => {
    let used = 0
    const machine = {
      cpu: 'none',
      gpu: 'none',
      gpu_mem: 0,
      cores: 1,
      memory: () => ({ total: memory, free: memory - used }),
    }
    const host = createHost({
      name: called(i),
      id: `id-${i}`,
      boot: 'b',
      version: '0.0.0',
      owner,
      clock,
      random,
      machine,
      upstream: { address: 'here' },
      classes: ['default', ...(i ? ['large'] : [])].map(name => ({
        name,
        model: 'echo',
        slots: 2,
        memory: GiB,
        cores: 0,
      })),
      spawn({ id, boot, class: of, host_id }) {
        let end!: (exit: Exit) => void
        const exited = new Promise<Exit>(resolve => {
          end = exit => {
            used -= of.memory
            resolve(exit)
          }
        })
        used += of.memory
        const worker = createWorker({
          name: 'worker',
          version: '0.0.0',
          owner,
          store,
          open: async (_model, settings) => createEchoEngine({ ...settings, rate: 1, clock }),
          slots: of.slots,
          clock,
          random,
          id,
          boot,
          host: host.name,
          host_id,
          class: of.name,
          shutdown: () => undefined,
        })
        void worker.load('echo')
        const session = join(worker.root)
        const kill = async (signal: string) => {
          if (signal === 'SIGTERM') await worker.drain()
          session.close()
          await worker.close()
          end(signal === 'SIGTERM' ? { code: 0, signal: null } : { code: null, signal })
        }
        return { pid: 1, exited, kill: signal => void kill(signal) }
      },
      shutdown: () => undefined,
    })
    join(host.root)
    return host
  })
  const [near, far] = transportPair()
  serve(far, { attach: () => ({ root: cluster.root, user: { name: 'root', uid: 0, role: 'admin' } }) })
  const tree = new Tree(await (await Client.connect(near)).attach({ uname: 'root' }))
  t.teardown(() => void cluster.close())
  const pass = async (seconds: number) => {
    for (let i = 0; i < seconds * 10; i++) {
      await clock.pass(100)
      for (let turn = 0; turn < 20; turn++) await settled()
    }
  }
  const workers = async () =>
    parseRecords(await tree.read('status'))
      .filter(({ word }) => word === 'worker')
      .map(({ attrs }) => attrs)
  const events = async (kind: string) => {
    const fid = await tree.open('event', 0)
    const text = new TextDecoder().decode(await fid.read(0, 65_536))
    await fid.clunk()
    return parseRecords(text).flatMap(({ attrs: { seq, time, ...attrs } }) => (attrs.kind === kind ? [attrs] : []))
  }
  await pass(1)
  return { hosts, tree, pass, workers, events }
}

t.test('a cluster that is full grows to its maximum, and an idle one shrinks to its minimum', async t => {
  const { hosts, tree, pass, workers, events } = await rig(t)
  hosts[0]!.spawn('default')
  await pass(5)
  t.match(await workers(), [{ state: 'idle', class: 'default' }])
  await tree.write('ctl', 'scale max 4 cooldown 10\nautoscale on')
  t.match(await tree.read('ctl'), /^scale min 1 max 4 up 0.8 down 0.2 step 2 cooldown 10\nautoscale on$/m)
  const answers = Array.from({ length: 8 }, (_, i) => tree.ask('generate', `{"prompt":"a${i} x60"}`))
  await pass(40)
  t.same(
    (await workers()).map(({ state, active }) => [state, active]),
    Array(4).fill(['busy', '2']),
  )
  t.same(await events('scale-up'), [
    { kind: 'scale-up', workers: '1', add: '2', class: 'default', why: 'utilisation 1 over 0.8' },
    { kind: 'scale-up', workers: '3', add: '1', class: 'default', why: 'utilisation 1 over 0.8' },
  ])
  await pass(60)
  for (const [i, answer] of (await Promise.all(answers)).entries()) {
    t.match(answer, new RegExp(`59:a${i}`))
    t.match(answer, /"event":"end"/)
  }
  await pass(60)
  t.equal((await workers()).length, 1)
  t.match((await events('scale-down'))[0], { workers: '4', remove: '2', why: 'utilisation 0 under 0.2' })
  t.equal(hosts[0]!.workers.length, 1)
  t.same(await events('scale-failed'), [])
})

t.test('a worker that keeps crashing is not replaced by another', async t => {
  const { hosts, tree, pass, workers } = await rig(t)
  hosts[0]!.spawn('default', 3)
  await tree.write('ctl', 'scale min 3 max 20 cooldown 0\nautoscale on')
  await pass(5)
  for (let i = 0; i < 10; i++) {
    for (const { id } of hosts[0]!.workers) hosts[0]!.kill(id)
    await pass(3)
  }
  t.equal(hosts[0]!.workers.length, 3)
  await pass(400)
  t.equal((await workers()).length, 3)
})

t.test('spawn uses a host with the class and the memory; if there is none, the error has both numbers', async t => {
  const { hosts, tree, pass, workers, events } = await rig(t, [8 * GiB, 4 * GiB])
  await tree.write('ctl', 'spawn large 2')
  await tree.write('ctl', 'spawn default 3')
  await pass(5)
  const where = (await workers()).map(({ host, class: of }) => `${host} ${of}`)
  t.same(where.sort(), ['host-0 default', 'host-0 default', 'host-0 default', 'host-1 large', 'host-1 large'])
  await t.rejects(tree.write('ctl', 'spawn large 3'), {
    message: `not enough memory for large: needs ${3 * GiB} has ${2 * GiB}`,
  })
  await t.rejects(tree.write('ctl', 'spawn huge'), { message: 'bad argument: no class "huge"; classes: default large' })
  await t.rejects(tree.write('ctl', 'scale class huge'), {
    message: 'bad argument: no class "huge"; classes: default large',
  })
  await t.rejects(tree.write('ctl', 'spawn default 1 host beta'), {
    message: 'bad argument: no host "beta"; hosts: host-0 host-1',
  })
  // the last host that has room takes them
  await tree.write('ctl', 'spawn default 5')
  await tree.write('ctl', 'spawn default 2')
  await pass(5)
  t.equal(hosts[1]!.workers.length, 4)
  await tree.write('ctl', 'scale min 20 max 40\nautoscale on')
  await pass(10)
  t.match(await events('scale-failed'), [
    { add: '8', class: 'default', error: /^not enough memory for default: needs \d+ has 0$/ },
  ])
})

t.test('machines with the same name are distinguished, and so are their workers', async t => {
  const { hosts, tree, pass, workers, events } = await rig(t, [8 * GiB, 4 * GiB], () => 'host-0')
  await tree.write('ctl', 'spawn default 2 host host-0\nspawn large 1 host host-0-2')
  await pass(5)
  const where = async () => (await workers()).map(({ host, class: of }) => `${host} ${of}`).sort()
  t.same(await where(), ['host-0 default', 'host-0 default', 'host-0-2 large'])
  t.match((await events('worker-joined')).at(-1), { host: 'host-0-2', class: 'large' })
  const [cluster] = parseRecords(await tree.read('status'))
  t.equal(Number(cluster!.attrs.mem_total), 2 * memoryReader()().total, 'the memory of each machine counts')
  const large = (await workers()).find(({ class: of }) => of === 'large')!
  await tree.write('ctl', `shutdown ${large.name}`)
  await pass(40)
  t.equal(hosts[1]!.workers.length, 0, 'its own host ends it')
})

t.test('a worker that is shut down through the cluster is not started again', async t => {
  const { hosts, tree, pass, workers } = await rig(t)
  hosts[0]!.spawn('default', 2)
  await pass(5)
  const [{ name }] = (await workers()) as [Record<string, string>]
  await tree.write('ctl', `shutdown ${name}`)
  await pass(60)
  t.equal((await workers()).length, 1)
  t.equal(hosts[0]!.workers.length, 1)
})
