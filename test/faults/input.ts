/** The scenario `input`: workers, hosts and commands that send wrong input. */

import { setTimeout as sleep } from 'node:timers/promises'
import { createHost } from '../../cluster/host.js'
import { exchange } from '../../cluster/root/exchange.js'
import { createEchoEngine } from '../../cluster/worker/engine/echo.js'
import { thisMachine } from '../../cluster/worker/hardware.js'
import { ModelStore } from '../../cluster/worker/models.js'
import { createWorker } from '../../cluster/worker/worker.js'
import { spawner } from '../../ctl/server/spawn.js'
import { parentsUser, self } from '../../ctl/server/users.js'
import { systemClock } from '../../fs/base/clock.js'
import { dial } from '../../fs/dial.js'
import type { File } from '../../fs/file.js'
import { AppendLog, logFile } from '../../fs/kit/append-log.js'
import { text } from '../../fs/kit/content.js'
import { serve } from '../../fs/server/server.js'
import type { Transport } from '../../fs/transport.js'
import { byGenerate } from './clients.js'
import { Cluster } from './cluster.js'
import { failure, must, type Scenario, type Stage, until, within } from './stage.js'

const owner = self()
let made = 0

/** Dials a cluster and serves a tree to it. @returns the connection */
async function serves(stage: Stage, cluster: Cluster, root: File): Promise<Transport> {
  const transport = await dial(`unix!${cluster.path('join')}`)
  const session = serve(transport, { attachOptions: ['role'], attach: who => ({ root, user: parentsUser(who) }) })
  stage.teardown(() => session.close())
  return transport
}

/** A worker with some of its files replaced. */
async function worker(other: Readonly<Record<string, File>> = {}, version = '0.1.0', load = true): Promise<File> {
  const { root, ...its } = createWorker({
    name: 'worker-0000',
    version,
    owner,
    store: new ModelStore([], { owner }),
    open: async (_model, settings) => createEchoEngine(settings),
    slots: 8,
    shutdown: () => undefined,
    id: `${++made}`.padStart(32, 'f'),
    host: 'liars',
  })
  if (load) await its.load('echo')
  return { ...root, qid: root.qid, walk: (name, ctx) => other[name] ?? root.walk!(name, ctx) }
}

const line = (event: object) => `${JSON.stringify(event)}\n`
const start = { event: 'start', worker: 'liar', model: 'echo', prompt_tokens: 1, reused_tokens: 0 }
const token = (i: number, ids: readonly unknown[] = [i]) => line({ event: 'token', text: echo[i], ids })
const echo = ['0:lie', ' 1:red', ' 2:green', ' 3:blue', ' 4:lie']
const honest = line(start) + token(0) + token(1)

/** What a worker says after two honest tokens, and what it is blamed for. */
const lies: Readonly<Record<string, { says: string | Uint8Array; blame: RegExp }>> = {
  'not JSON': { says: 'this is no JSON\n', blame: /event stream: not JSON/ },
  'not UTF-8': { says: new Uint8Array([0xc3, 0x28, 0x0a]), blame: /not UTF-8/ },
  'an unknown event': { says: line({ event: 'gift' }), blame: /event "gift"/ },
  'ids that are not numbers': { says: token(2, ['two']), blame: /ids\[0\]: expected a number/ },
  'more tokens than it was asked for': {
    says: token(2) + token(3) + token(4) + line({ event: 'token', text: ' 5:red', ids: [5] }),
    blame: /more than the 5 tokens/,
  },
  'a count lower than the tokens it gave': {
    says: line({ event: 'end', reason: 'stop', completion_tokens: 1 }),
    blame: /reported 1 tokens but sent 2/,
  },
  'an unknown reason': {
    says: line({ event: 'end', reason: 'mood', completion_tokens: 2 }),
    blame: /reason: expected one of .*"mood"/,
  },
  'no end': { says: '', blame: /closed without an end event/ },
}

/** A `generate` that answers probes, and lies to everyone else. */
function lying(says: string | Uint8Array): File {
  const begin = (json: string) => {
    const answer = new AppendLog()
    if (/"ping"/.test(json)) answer.append(honest + line({ event: 'end', reason: 'length', completion_tokens: 2 }))
    else {
      answer.append(honest)
      answer.append(says)
    }
    answer.end()
    return { answer, abandon: () => undefined }
  }
  return exchange({ owner, limit: 1 << 20, submit: begin, refused: () => undefined, newest: () => undefined })
}

async function bad(stage: Stage): Promise<string> {
  const cluster = await Cluster.start(stage, { workers: 1, slots: 1, ctl: ['retry resumes 5'] })
  const events = await cluster.events()
  const prompt = { text: 'lie red green blue x5', answer: '0:lie 1:red 2:green 3:blue 4:lie' }
  const ask = async () => byGenerate(await cluster.tree(), { max_tokens: 5 })(prompt)

  // joiners that are refused
  const refusals: [string, () => Promise<File>, RegExp][] = [
    ['another version', () => worker({}, '9.0.0'), /version 9\.0\.0 cannot join a cluster of version 0\.1\.0/],
    [
      'no status',
      () => worker({ status: text(() => 'hello\n', { owner }) }),
      /status: expected a server record at the beginning/,
    ],
    [
      'no id',
      () => worker({ status: text(() => 'server name=x kind=worker version=0.1.0\n', { owner }) }),
      /status: id: expected a string/,
    ],
    [
      'impossible slots',
      () => worker({ status: text(() => 'server name=x kind=worker id=x version=0.1.0 slots=-1\n', { owner }) }),
      /status: slots: expected a number from 0 to/,
    ],
    [
      'the id of another worker',
      async () => {
        const { id } = await cluster.worker('worker-0001')
        return worker({
          status: text(() => `server name=x kind=worker id=${id} boot=x version=0.1.0 slots=4\n`, { owner }),
        })
      },
      /belongs to a joiner with another secret/,
    ],
  ]
  for (const [name, tree, error] of refusals) {
    const before = events.all('join-refused').length
    await serves(stage, cluster, await tree())
    const [event] = await until(name, 20_000, () => {
      const now = events.all('join-refused')
      return now.length > before && now.slice(before)
    })
    must(error.test(event!.error!), `${name}: ${event!.error}`)
    must((await cluster.workers()).length === 1, `${name}: it was let in`)
  }

  // workers that lie about tokens: the honest worker gives the answer
  for (const [name, { says, blame }] of Object.entries(lies)) {
    const before = events.all('attempt-failed').length
    const joined = (await cluster.workers()).map(worker => worker.name)
    const transport = await serves(stage, cluster, await worker({ generate: lying(says) }))
    await cluster.ready(2)
    await within(name, 20_000, ask())
    const liar = (await cluster.workers()).find(worker => !joined.includes(worker.name))!
    for (let n = 0; events.all('attempt-failed').length === before; n++) {
      must(n < 20, `${name}: it was never asked`)
      await within(name, 20_000, ask())
    }
    const { worker: blamed, error } = events.all('attempt-failed')[before]!
    must(blamed === liar.name && blame.test(error!), `${name}: ${blamed} ${error}`)
    transport.destroy()
    await events.next('worker-left', { worker: liar.name })
  }

  // a worker that breaks the protocol in the middle of an answer
  const broken: { transport?: Transport } = {}
  const breaking = lying('')
  const generate: File = {
    ...breaking,
    open: async (mode, ctx) => {
      const opened = await breaking.open(mode, ctx)
      const { read } = opened
      let reads = 0
      return {
        ...opened,
        write: (offset, data, ctx) => opened.write!(offset, data, ctx),
        close: () => opened.close?.(),
        read(offset, count, ctx) {
          if (ready && reads++ > 0) broken.transport!.send([[new Uint8Array([255, 255, 255, 255, 1, 2, 3])]])
          return read!.call(opened, offset, count, ctx)
        },
      }
    },
  }
  let ready = false
  broken.transport = await serves(stage, cluster, await worker({ generate }))
  const [, breaker] = await cluster.ready(2)
  ready = true
  for (let n = 0; n < 20 && (await cluster.workers()).length > 1; n++) await within('a broken protocol', 20_000, ask())
  const left = await events.next('worker-left', { worker: breaker!.name })
  must(/bad message|hungup/.test(left.error!), left.error!)

  // floods: events of a worker that loads for ever, and of a host
  const flood = new AppendLog(256 * 1024 * 1024)
  let flooding = true
  void (async () => {
    for (let seq = 1; flooding && flood.length < 200e6; seq += 100) {
      flood.append(Array.from({ length: 100 }, (_, i) => `seq=${seq + i} kind=loaded model=nothing\n`).join(''))
      await sleep(1)
    }
  })()
  const flooder = await serves(
    stage,
    cluster,
    await worker({ event: logFile(() => flood, owner, 0o444) }, '0.1.0', false),
  )
  const hostFlood = logFile(() => flood, owner, 0o444)
  const hostOf = (command: string, name: string) =>
    createHost({
      name,
      id: name,
      boot: name,
      version: '0.1.0',
      owner,
      clock: systemClock,
      random: Math.random,
      spawn: spawner({
        config: {} as never,
        env: {},
        host: name,
        orphan_ms: 1000,
        note: () => undefined,
        command: [command],
      }),
      upstream: { address: `unix!${cluster.path('join')}` },
      classes: [{ name: 'default', slots: 1, memory: 0, cores: 0 }],
      machine: thisMachine(),
      shutdown: () => undefined,
    })
  const noisy = hostOf('true', 'noisy')
  stage.teardown(() => noisy.close())
  const hosting = await serves(stage, cluster, {
    ...noisy.root,
    walk: (name, ctx) => (name === 'event' ? hostFlood : noisy.root.walk!(name, ctx)),
  })
  await events.next('host-joined', { host: 'noisy' })
  await sleep(3000)
  const began = Date.now()
  for (let n = 0; n < 20; n++) await within('an answer in a flood', 10_000, ask())
  const flooded_ms = Math.round((Date.now() - began) / 20)
  flooding = false
  flooder.destroy()
  hosting.destroy()

  // a host that cannot start a process
  const poor = hostOf('/none/such', 'poor')
  stage.teardown(() => poor.close())
  await serves(stage, cluster, poor.root)
  await events.next('host-joined', { host: 'poor' })
  await cluster.root.write('ctl', 'spawn default 1 host poor\n')
  const said = await until(
    'what it says',
    10_000,
    async () => /error='([^']*)'/.exec(await cluster.root.read('host/poor/status'))?.[1],
  )
  must(/ENOENT/.test(said), said)

  // commands that are not valid
  const wrong: Record<string, RegExp> = {
    'strategy fastest': /strategy: expected one of specialise least-loaded round-robin random/,
    'spawn nonesuch 1': /no class "nonesuch"; classes: default/,
    'spawn default 1 host nowhere': /no host "nowhere"; hosts: /,
    'spawn default 0': /spawn: expected a whole number from 1 to/,
    'scale min 9 max 8': /min 9 is above max 8/,
    'scale up 0.1 down 0.9': /scale: .*(up|down)/,
    'drain worker-9999': /no worker "worker-9999"; workers: worker-0001/,
    'heartbeat 0': /heartbeat: expected a number from 0.1 to 60/,
    'retry resumes -1': /resumes: expected a whole number .*"-1"/,
  }
  const status = await cluster.root.read('ctl')
  for (const [command, error] of Object.entries(wrong)) {
    const { message } = await failure(command, cluster.root.write('ctl', `${command}\n`))
    must(error.test(message), `${command}: ${message}`)
  }
  must((await cluster.root.read('ctl')) === status, 'a setting has changed')
  await within('the last answer', 10_000, ask())
  return `${refusals.length} not let in, ${Object.keys(lies).length} lies blamed on the liar and made good, a broken protocol hung up on, ${flooded_ms} ms an answer while ${Math.round(flood.length / 1e6)} MB of events came, '${said}', ${Object.keys(wrong).length} commands refused`
}

export const input: Scenario = { name: 'input', run: bad }
