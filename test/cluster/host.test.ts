/** A host: starting, supervising, stopping and adopting worker processes. */
import fc from 'fast-check'
import t from 'tap'
import type { Exit, SpawnSpec, WorkerProcess, WorkerRecord } from '../../cluster/host/process.js'
import { createHost, type HostOptions } from '../../cluster/host.js'
import { parseRecords } from '../../fs/base/quote.js'
import { Client } from '../../fs/client/client.js'
import { serve } from '../../fs/server/server.js'
import { transportPair } from '../../fs/transport/pair.js'
import { settled, TestClock } from './clock.js'
import { Tree } from './worker/fixture.js'

const owner = { name: 'root', uid: 0 }
const GiB = 1024 ** 3

/** A process that ends when and how a test wants. */
class Process implements WorkerProcess {
  readonly signals: string[] = []
  readonly exited: Promise<Exit>
  readonly ready: Promise<void>
  end!: (exit: Partial<Exit>) => void
  load!: () => void

  constructor(
    readonly spec: SpawnSpec,
    readonly pid: number | undefined,
  ) {
    this.exited = new Promise(resolve => {
      this.end = exit => resolve({ code: null, signal: null, ...exit })
    })
    this.ready = new Promise(resolve => {
      this.load = resolve
    })
  }

  kill(signal: string) {
    this.signals.push(signal)
    if (signal === 'SIGKILL') this.end({ signal })
  }
}

function rig(options: Partial<HostOptions> = {}) {
  const clock = new TestClock()
  const processes: Process[] = []
  const memory = { total: 8 * GiB, free: 4 * GiB }
  const saves: (readonly WorkerRecord[])[] = []
  let seed = 0
  const host = createHost({
    name: 'alpha',
    id: 'machine',
    boot: '0000beef',
    version: '0.0.0',
    owner,
    clock,
    // names of workers must differ: steps of one size, such as the golden ratio's, come close to an earlier value and
    // repeat a name
    random: () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) / 2 ** 32,
    spawn(spec) {
      const process = new Process(spec, 100 + processes.length)
      processes.push(process)
      return process
    },
    upstream: { address: 'unix!/run/join', token: 'secret' },
    classes: [
      { name: 'default', model: 'llambo-tiny', slots: 4, memory: 0, cores: 0 },
      { name: 'large', model: 'm', slots: 2, memory: GiB, cores: 4 },
    ],
    machine: { cpu: 'avx2', cores: 8, gpu: 'none', gpu_mem: 0, memory: () => memory },
    save: records => saves.push(records),
    shutdown: () => undefined,
    ...options,
  })
  const tree = async (name = 'root') => {
    const [near, far] = transportPair()
    serve(far, { attach: () => ({ root: host.root, user: { name, uid: 0, role: name === 'root' ? 'admin' : 'use' } }) })
    return new Tree(await (await Client.connect(near)).attach({ uname: name }))
  }
  const records = async (word: string) =>
    parseRecords(await (await tree()).read('status'))
      .filter(record => record.word === word)
      .map(({ attrs }) => attrs)
  const events = async () => {
    const fid = await (await tree()).open('event', 0)
    const text = new TextDecoder().decode(await fid.read(0, 65536))
    return parseRecords(text).map(({ attrs: { seq, time, ...rest } }) => rest)
  }
  return { clock, processes, memory, saves, host, tree, records, events }
}

t.test('a worker is started with its id, boot and class, and shows in status', async t => {
  const { host, processes, records, events } = rig()
  const ids = host.spawn('default', 2)
  t.equal(new Set(ids).size, 2)
  t.match(ids[0], /^[0-9a-f]{32}$/)
  t.match(processes[0]!.spec, {
    id: ids[0],
    boot: /^[0-9a-f]{8}$/,
    class: { name: 'default' },
    upstream: { token: 'secret' },
  })
  const { boot } = processes[0]!.spec
  t.same((await records('worker'))[0], {
    id: ids[0],
    pid: '100',
    class: 'default',
    state: 'starting',
    restarts: '0',
    boot,
  })
  processes[0]!.load()
  await settled()
  t.same(
    (await records('worker')).map(({ state }) => state),
    ['running', 'starting'],
  )
  t.same(await records('server'), [
    {
      name: 'alpha',
      kind: 'host',
      id: 'machine',
      boot: '0000beef',
      version: '0.0.0',
      mem_total: String(8 * GiB),
      mem_free: String(4 * GiB),
      cpu: 'avx2',
      cores: '8',
      gpu: 'none',
      gpu_mem: '0',
      workers: '2',
      uptime_s: '0',
    },
  ])
  t.same((await records('class'))[1], { name: 'large', model: 'm', slots: '2', memory: String(GiB), cores: '4' })
  t.same((await events())[1], { kind: 'worker-started', id: ids[0], boot, pid: '100', class: 'default' })
  t.notMatch(JSON.stringify([await events(), await records('server')]), /secret/)
})

t.test('a worker that crashes is started again with the same id and a new boot, after a growing pause', async t => {
  const random = () => 0.999999
  const { host, processes, clock, events, records } = rig({ random })
  const [id] = host.spawn('default')
  const waits = [0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
  for (const [i, wait] of waits.entries()) {
    processes[i]!.end({ signal: 'SIGSEGV', said: 'out of cheese' })
    await clock.pass(wait * 1000 - 1)
    t.equal(processes.length, i + 1, `not yet after ${wait} s`)
    t.match(await records('worker'), [{ id, state: 'backoff', restarts: String(i), error: 'out of cheese' }])
    await clock.pass(1)
    t.equal(processes.length, i + 2, `after ${wait} s`)
  }
  const all = await events()
  t.match(all[2], {
    kind: 'worker-exited',
    id,
    signal: 'SIGSEGV',
    cause: 'crashed',
    class: 'default',
    error: 'out of cheese',
  })
  t.match(all[3], { kind: 'worker-backoff', id, wait_s: '0.5', crashes: '1' })
  t.same(
    all.filter(({ kind }) => kind === 'worker-backoff').map(({ wait_s }) => Number(wait_s)),
    waits,
  )
  t.ok(processes.every(({ spec }) => spec.id === id))

  processes.at(-1)!.load()
  await clock.pass(60_000)
  processes.at(-1)!.end({ code: 1 })
  await clock.pass(0)
  t.match((await events()).at(-1), { kind: 'worker-backoff', wait_s: '0.5', crashes: '1' })
})

t.test('each start has its own boot', async t => {
  const { host, processes, clock } = rig()
  host.spawn('default')
  processes[0]!.end({ code: 3 })
  await clock.pass(500)
  t.equal(processes.length, 2)
  t.not(processes[0]!.spec.boot, processes[1]!.spec.boot)
})

t.test('a worker that somebody else killed counts as killed, not crashed, and is started again', async t => {
  const { host, processes, clock, events } = rig()
  host.spawn('default')
  processes[0]!.end({ signal: 'SIGKILL' })
  await clock.pass(500)
  t.match(await events(), [{}, {}, { kind: 'worker-exited', cause: 'killed' }, {}, { kind: 'worker-started' }])
})

t.test('a worker that exits by itself without an error is not started again', async t => {
  const { host, processes, clock, events } = rig()
  host.spawn('default')
  processes[0]!.end({ code: 0 })
  await clock.pass(600_000)
  t.equal(processes.length, 1)
  t.same(host.workers, [])
  t.match((await events()).at(-1), { kind: 'worker-exited', code: '0', cause: 'stopped' })
})

t.test('stop sends SIGTERM, kills after 30 s, and does not start the worker again', async t => {
  const { host, processes, clock, records } = rig()
  const [first, second] = host.spawn('default', 2)
  const gone = [host.stop(first!), host.stop(second!)]
  void host.stop(first!)
  t.match(await records('worker'), [{ state: 'stopping' }, { state: 'stopping' }])
  processes[0]!.end({ code: 0 })
  await gone[0]
  t.same(processes[0]!.signals, ['SIGTERM'])
  await clock.pass(29_999)
  t.same(processes[1]!.signals, ['SIGTERM'])
  await clock.pass(1)
  t.same(processes[1]!.signals, ['SIGTERM', 'SIGKILL'])
  await gone[1]
  await clock.pass(600_000)
  t.equal(processes.length, 2)
  t.same(await records('worker'), [])
})

t.test(
  'a worker is started again with the model that it should hold, unless a start with that model failed',
  async t => {
    const { host, processes, clock, records, saves, tree } = rig()
    const [id, other] = host.spawn('default', 2)
    for (const process of processes) process.load()
    const root = await tree()
    await root.write('ctl', `hold ${id} '/models/big one.gguf'`)
    await root.write('ctl', `hold ${other} big\nhold ${other} ''`)
    await t.rejects(root.write('ctl', 'hold nobody big'), { message: /^file does not exist: worker nobody/ })
    t.match(await records('worker'), [{ hold: '/models/big one.gguf' }, {}])
    t.match(saves.at(-1), [
      { id, hold: '/models/big one.gguf' },
      { id: other, hold: undefined },
    ])
    for (const process of [...processes]) process.end({ signal: 'SIGKILL' })
    await clock.pass(1000)
    const again = (of: string | undefined) => processes.slice(2).filter(({ spec }) => spec.id === of)
    t.match(
      [again(id), again(other)].map(([first]) => first?.spec.hold),
      ['/models/big one.gguf', undefined],
    )
    // it ends during the load: the model may be the cause
    again(id)[0]!.end({ signal: 'SIGKILL' })
    await clock.pass(2000)
    t.equal(again(id)[1]!.spec.hold, undefined)
    t.equal((await records('worker'))[0]!.hold, undefined)

    host.spawn('default', 1, 'none')
    t.equal(processes.at(-1)!.spec.hold, 'none')
  },
)

t.test('a worker that waits to be started again can be stopped', async t => {
  const { host, processes, clock } = rig()
  const [id] = host.spawn('default')
  processes[0]!.end({ code: 1 })
  await settled()
  await host.stop(id!)
  await clock.pass(600_000)
  t.equal(processes.length, 1)
  t.same(host.workers, [])
})

t.test('kill ends a worker at once; it is started again, unless it was being stopped', async t => {
  const { host, processes, clock, events } = rig()
  const [id] = host.spawn('default')
  host.kill(id!)
  await clock.pass(500)
  t.same(processes[0]!.signals, ['SIGKILL'])
  t.equal(processes.length, 2)
  t.match(await events(), [{}, {}, { kind: 'worker-exited', signal: 'SIGKILL', cause: 'killed' }, {}, {}])
  void host.stop(id!)
  host.kill(id!)
  await clock.pass(600_000)
  t.equal(processes.length, 2)
})

t.test('close stops all workers, kills after 5 s, and starts no more', async t => {
  const { host, processes, clock } = rig()
  host.spawn('default', 3)
  processes[2]!.end({ code: 1 })
  await settled()
  let closed = false
  const closing = host.close().then(() => {
    closed = true
  })
  t.throws(() => host.spawn('default'), { message: 'shutting down' })
  processes[0]!.end({ code: 0 })
  await clock.pass(4999)
  t.notOk(closed)
  await clock.pass(1)
  await closing
  t.same(processes[1]!.signals, ['SIGTERM', 'SIGKILL'])
  await clock.pass(600_000)
  t.equal(processes.length, 3)
})

t.test(
  'a spawn that does not fit is refused as a whole with both numbers; workers that start count with all their memory',
  async t => {
    const { host, processes, memory, events } = rig()
    t.throws(() => host.spawn('large', 5), {
      message: `not enough memory for large: needs ${5 * GiB} has ${4 * GiB}`,
      errno: 12,
    })
    t.equal(processes.length, 0)
    t.match((await events()).at(-1), { kind: 'spawn-refused', class: 'large', error: /^not enough memory for large/ })
    host.spawn('large', 3)
    t.throws(() => host.spawn('large', 2), { message: `not enough memory for large: needs ${2 * GiB} has ${GiB}` })
    for (const process of processes) process.load()
    memory.free = 2 * GiB
    await settled()
    host.spawn('large', 2)
    t.throws(() => host.spawn('large'), { message: `not enough memory for large: needs ${GiB} has 0` })
    host.spawn('default')
    t.equal(processes.length, 6)
  },
)

t.test('a crashed worker that no longer fits waits longer, and status says why', async t => {
  const { host, processes, memory, clock, events, records } = rig({ random: () => 0.999999 })
  host.spawn('large')
  memory.free = 1
  processes[0]!.end({ signal: 'SIGKILL' })
  await clock.pass(500)
  t.equal(processes.length, 1)
  const error = `not enough memory for large: needs ${GiB} has 1`
  t.match((await events()).slice(-2), [
    { kind: 'spawn-refused', class: 'large', error },
    { kind: 'worker-backoff', wait_s: '1' },
  ])
  t.match(await records('worker'), [{ state: 'backoff', error }])
  memory.free = GiB
  await clock.pass(1000)
  t.equal(processes.length, 2)
})

t.test('a process that cannot be started is logged, and tried again', async t => {
  let fails = 2
  const { host, clock, events, processes } = rig({
    spawn(spec) {
      if (fails-- === 2) throw new Error('spawn EAGAIN')
      const process = new Process(spec, fails === 0 ? undefined : 7)
      if (fails === 0) process.end({ said: 'spawn node ENOENT' })
      return process
    },
  })
  const [id] = host.spawn('default')
  await clock.pass(2000)
  const kinds = (await events()).slice(1)
  t.match(kinds, [
    { kind: 'spawn-refused', class: 'default', error: 'spawn EAGAIN', id },
    { kind: 'worker-backoff', id, crashes: '1' },
    { kind: 'spawn-refused', class: 'default', error: 'spawn node ENOENT', id },
    { kind: 'worker-backoff', id, crashes: '2' },
    { kind: 'worker-started', id, pid: '7' },
  ])
  t.equal(processes.length, 0)
})

t.test('the workers of a host that was killed go on, and the next host supervises them', async t => {
  const first = rig()
  first.host.spawn('default', 2)
  const saved = first.saves.at(-1)!
  t.match(saved, [{ pid: 100, class: { name: 'default' } }, { pid: 101 }])

  const living = new Process(first.processes[1]!.spec, 101)
  const second = rig({ saved, adopt: ({ pid }) => (pid === 101 ? living : undefined) })
  t.same(
    second.host.workers.map(({ id, boot, pid }) => ({ id, boot, pid })),
    [{ id: saved[1]!.id, boot: saved[1]!.boot, pid: 101 }],
  )
  t.match((await second.events()).at(-1), { kind: 'worker-adopted', id: saved[1]!.id, pid: '101' })
  living.end({})
  await second.clock.pass(500)
  t.equal(second.processes[0]!.spec.id, saved[1]!.id, 'an adopted worker is started again')
  t.match(second.saves.at(-1), [{ id: saved[1]!.id, pid: 100 }])
})

t.test('ctl takes spawn, stop, kill and shutdown, from admins', async t => {
  let shutdowns = 0
  const { tree, processes, records, events, clock } = rig({ shutdown: () => void shutdowns++ })
  const root = await tree()
  await root.write('ctl', 'spawn large 2\nspawn default\n')
  t.equal(processes.length, 3)
  const [{ id }] = (await records('worker')) as [Record<string, string>]
  await root.write('ctl', `kill ${id}\n`)
  await clock.pass(500)
  t.equal(processes.length, 4)
  await root.write('ctl', `stop ${id}\n`)
  t.same(processes[3]!.signals, ['SIGTERM'])
  await root.write('ctl', 'shutdown')
  t.equal(shutdowns, 1)
  await root.write('ctl', "refused 'version 9 cannot join a cluster of version 0'")
  t.match((await events()).at(-1), { kind: 'refused', error: 'version 9 cannot join a cluster of version 0' })
  const bad: readonly (readonly [string, RegExp])[] = [
    ['spawn', /^bad argument: expected arguments CLASS \[N\], got 0$/],
    ['spawn huge', /^bad argument: no class "huge"; classes: default large$/],
    ['spawn large 0', /^bad argument: spawn: expected a whole number from 1 to 1000, not "0"$/],
    ['spawn large 1.5', /^bad argument: spawn: expected a whole number from 1 to 1000, not "1.5"/],
    ["spawn large ''", /^bad argument: spawn: expected a whole number from 1 to 1000, not ""/],
    ['spawn default 1000', /^bad argument: spawn 1000: 3 of at most 1000 workers exist$/],
    ['spawn large 9', new RegExp(`^not enough memory for large: needs ${9 * GiB} has ${3 * GiB}$`)],
    ['stop nobody', /^file does not exist: worker nobody; status lists/],
    ['kill nobody', /^file does not exist: worker nobody; status lists/],
    ['reboot', /^unknown command: reboot; commands: spawn stop kill hold shutdown refused$/],
  ]
  for (const [line, message] of bad) await t.rejects(root.write('ctl', line), { message }, line)
  await t.rejects((await tree('ann')).write('ctl', 'spawn default'), { message: 'permission denied' })
})

type Step =
  | readonly ['spawn' | 'pass', number]
  | readonly ['stop' | 'kill', number]
  | readonly ['load' | 'exit' | 'crash', number]

t.test('at all times a worker has one process at most, and a stopped worker gets none again', async t => {
  const step: fc.Arbitrary<Step> = fc.oneof(
    fc.tuple(fc.constant('spawn' as const), fc.integer({ min: 1, max: 3 })),
    fc.tuple(fc.constant('pass' as const), fc.integer({ min: 0, max: 70_000 })),
    fc.tuple(fc.constantFrom('stop' as const, 'kill' as const), fc.nat(5)),
    fc.tuple(fc.constantFrom('load' as const, 'exit' as const, 'crash' as const), fc.nat(20)),
  )
  const run = async (steps: readonly Step[]) => {
    const { host, processes, clock, saves } = rig()
    const ended = new Set<Process>()
    const stopped = new Map<string, number>()
    const live = () => processes.filter(process => !ended.has(process))
    const check = () => {
      const ids = live().map(({ spec }) => spec.id)
      if (new Set(ids).size !== ids.length) throw new Error('two processes of one worker')
      for (const [id, count] of stopped)
        if (processes.filter(({ spec }) => spec.id === id).length > count) throw new Error(`${id} came back`)
      const known = host.workers.flatMap(({ record }) => record ?? [])
      if (known.some(({ boot }) => !processes.some(({ spec }) => spec.boot === boot)))
        throw new Error('an unknown boot')
      if (JSON.stringify(saves.at(-1) ?? []) !== JSON.stringify(known))
        throw new Error('what is saved is not what runs')
    }
    const follow = () => {
      for (const process of processes) void process.exited.then(() => ended.add(process))
    }
    for (const [what, n] of steps) {
      const { id } = host.workers[n] ?? {}
      const process = live()[n]
      if (what === 'spawn') host.spawn('default', n)
      else if (what === 'pass') await clock.pass(n)
      else if (what === 'stop' && id !== undefined) {
        void host.stop(id)
        stopped.set(id, processes.filter(({ spec }) => spec.id === id).length)
      } else if (what === 'kill' && id !== undefined) host.kill(id)
      else if (what === 'load') process?.load()
      else if (what === 'exit') process?.end({ code: 0 })
      else if (what === 'crash') process?.end({ signal: 'SIGSEGV' })
      follow()
      await settled()
      check()
    }
    let closed = false
    void host.close().then(() => {
      closed = true
    })
    await clock.pass(5_000)
    follow()
    await settled()
    const { length } = processes
    await clock.pass(600_000)
    if (!closed || live().length > 0 || host.workers.length > 0) throw new Error('something is left')
    if (processes.length !== length) throw new Error('something was started after the end')
  }
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 40 }), run), { numRuns: 150 })
  t.pass('150 stories')
})

t.test('the error of a worker ended by SIGKILL names the out-of-memory kill', async t => {
  let out: string | undefined = 'out of memory (cgroup limit 1.5 GB)'
  const { processes, host, events, records } = rig({ outOfMemory: () => out })
  const [id = ''] = host.spawn('default')
  processes[0]!.end({ signal: 'SIGKILL', said: 'its last line' })
  await settled()
  const said = 'ended by SIGKILL: out of memory (cgroup limit 1.5 GB)'
  t.match(
    (await events()).find(({ kind }) => kind === 'worker-exited'),
    { signal: 'SIGKILL', error: said },
  )
  t.match(await records('worker'), [{ id, state: 'backoff', error: said }])
  out = undefined
  host.spawn('default')
  processes[1]!.end({ signal: 'SIGKILL' })
  await settled()
  t.match((await events()).filter(({ kind }) => kind === 'worker-exited').at(-1), { error: 'ended by SIGKILL' })
})
