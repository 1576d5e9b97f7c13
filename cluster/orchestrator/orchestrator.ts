import { type Clock, sleep, systemClock } from '../../fs/clock.js'
import { FsError, fail } from '../../fs/errors.js'
import type { Context, Entry, File, Owner, User } from '../../fs/file.js'
import { generated } from '../../fs/kit/dir.js'
import type { Feed } from '../../fs/kit/feed.js'
import { ORDWR } from '../../fs/protocol.js'
import type { Transport } from '../../fs/transport.js'
import { hexId } from '../id.js'
import type { Sampling } from '../root/generation.js'
import * as rootLimits from '../root/limits.js'
import { plainRequest } from '../root/request.js'
import { type Embedded, Root } from '../root/root.js'
import { Affinity } from './affinity.js'
import { Fleet } from './fleet.js'
import * as limits from './limits.js'
import type { Member } from './member.js'
import { Models } from './models.js'
import { ClusterPlace } from './place.js'
import { Recovery } from './recovery.js'
import { Registry } from './registry.js'
import { Routing, type Strategy } from './routing.js'
import { Counters, Saver, type Store } from './saved.js'
import { clusterStatus } from './status.js'
import { type ClusterSettings, type Commands, clusterLines, clusterVerbs } from './verbs.js'

export interface OrchestratorOptions {
  /** What the cluster is called. */
  name: string
  version: string
  owner: Owner
  /** What outlives the process: the cluster's id, the numbers it has given, its sessions. Absent: nothing does. */
  store?: Store
  /** The machine that the orchestrator is on: where models go that are copied to the cluster. */
  host: string
  clock?: Clock
  random?: () => number
  settings?: Partial<ClusterSettings>
  /** What suits a model where nobody has said anything. Workers know better; this is for what is shown. */
  defaults?: (model: string) => Partial<Sampling>
  /** What `namespace` shows besides the workers. */
  mounts?: () => string[]
  /** Gets what happens, as much of it as `log level` says, a line each. */
  log?: (line: string) => void
  /** `shutdown` was written to ctl. */
  shutdown(): void
  /** The cluster that we joined does not take us. */
  refused?(why: string): void
}

export interface Orchestrator {
  readonly root: File
  readonly events: Feed
  /** Our own id: what a request that came through here carries. */
  readonly id: string
  /** Takes in who has dialled our join end point: it serves its files on that connection. */
  join(transport: Transport): Promise<void>
  /**
   * Resolves when a prompt would be answered; without `model` when a worker is there to load one.
   * @throws why a worker cannot load its model, where none can answer
   */
  ready(o: { model: boolean }, signal?: AbortSignal): Promise<void>
  failed(error: Error, user: User): void
  /** Ends all exchanges with `shutting down`. */
  close(): Promise<void>
}

/** Many workers as one tree: what namespace.md says of a cluster. It uses them through their files, and nothing else. */
export function createOrchestrator(o: OrchestratorOptions): Orchestrator {
  const { owner, clock = systemClock, random = Math.random } = o
  const { store } = o
  const id = store?.read('id')?.trim() || hexId(random, 32)
  const boot = hexId(random, 8)
  const began = clock.now()
  const self: User = { name: owner.name, uid: owner.uid, role: 'admin' }
  const settings: ClusterSettings = {
    queue: { max: rootLimits.MAX_QUEUE, ttl_s: 30 },
    retry: { tries: 2, resumes: 1 },
    heartbeat_s: 3,
    log: 'info',
    ...o.settings,
  }
  let closing = false

  /** A disk that is full costs what would outlive us, and nothing else. */
  const unsaved = (error: Error) => root.events.add('not-saved', { error: error.message })

  const affinity = new Affinity<Member>()
  const routing = new Routing(random, affinity, member => allowed(member))

  /** Who is set aside is not chosen, but for the last that serves its model. */
  const allowed = (member: Member): boolean => {
    if (member.asideUntil <= clock.now()) return true
    const { model } = member
    for (const other of registry.members.values()) {
      if (other !== member && other.model?.name === model?.name && other.serving && other.asideUntil <= clock.now())
        return false
    }
    return true
  }
  const update = (member: Member) => {
    models.changed(member)
    routing.update(member)
    // the last may have gone of those that let others be set aside
    for (const other of registry.aside) routing.update(other)
  }

  const commands: Commands = {
    settings,
    get strategy(): Strategy {
      return routing.strategy
    },
    set strategy(strategy) {
      routing.strategy = strategy
      root.events.add('strategy', { strategy })
    },
    check: name => void registry.member(name),
    drain(name) {
      const member = registry.member(name)
      member.draining = true
      root.events.add('worker-draining', { worker: name })
      update(member)
    },
    resume(name) {
      const member = registry.member(name)
      member.draining = false
      root.events.add('worker-resumed', { worker: name })
      if (member.report.state === 'draining') void member.peer.command('resume\n').catch(() => undefined)
      update(member)
      root.tasks.pump()
    },
    shutdown: name => (name === undefined ? o.shutdown() : retire(registry.member(name))),
    async load(model, name) {
      if (name !== undefined) return models.load(registry.member(name), model)
      const holders = models.holders(model)
      // a path is for the worker to find, and to say that it cannot
      const all = holders.length > 0 ? holders : [...registry.members.values()].filter(m => m.report.kind === 'worker')
      if (all.length === 0) throw fail('noWorker', `${model}: no worker has joined`)
      const failures: Error[] = []
      // one after another: the others serve meanwhile
      for (const member of all) await models.load(member, model).catch(error => failures.push(error as Error))
      if (failures.length === all.length) throw failures[0]!
    },
    async unload(model, name) {
      const all = name === undefined ? models.loadedOn(model) : [registry.member(name)]
      if (all.length === 0) throw fail('loading', `no worker has ${model}`)
      for (const member of all) await models.unload(member)
    },
    spawn: (kind, n, name) => fleet.spawn(kind, n, name),
    refused(why) {
      root.events.add('refused', { error: why })
      o.refused?.(why)
    },
  }

  /** Lets a worker finish, moves what does not finish in time, and ends it. */
  const retire = async (member: Member): Promise<void> => {
    commands.drain(member.name)
    const until = clock.now() + limits.DRAIN_MS
    while (member.running.size > 0 && clock.now() < until && !member.left) await sleep(clock, 50)
    place.move(member, fail('shuttingDown'))
    if (member.left) return
    // its host has to know that it is not to come back
    const stopped = fleet.hostOf(member)?.command(`stop ${member.id}\n`) ?? Promise.reject()
    await stopped.catch(() => member.peer.command('shutdown\n')).catch(() => undefined)
  }

  const place: ClusterPlace = new ClusterPlace(
    clock,
    routing,
    affinity,
    {
      id,
      members: () => registry.members.values(),
      known: request => models.known(request),
      bring: request => models.bring(request),
      accept() {
        if (closing) throw fail('shuttingDown')
        if (!models.any) throw fail('loading', "write 'load MODEL' to ctl; models/ lists them")
      },
      hung(member, why) {
        root.events.add('worker-hung', { worker: member.name, error: why })
        void fleet
          .hostOf(member)
          ?.command(`kill ${member.id}\n`)
          .catch(() => undefined)
        registry.leave(member, fail('hungUp', `${member.name}: ${why}`))
      },
      failed(member, error) {
        root.events.add('attempt-failed', { worker: member.name, error: error.message })
        if (++member.failures >= limits.FAILURES)
          registry.setAside(member, `${member.failures} answers broke off in a row`)
      },
    },
    // made below: the events are the root's
    { add: (kind, attrs) => root.events.add(kind, attrs) } as Feed,
    settings.retry,
  )

  const embed = async (texts: readonly string[], user: User, signal: AbortSignal): Promise<Embedded> => {
    const member = routing.choose({ request: plainRequest([]), session: undefined })?.member
    if (!member) throw fail('loading', 'no worker is ready')
    const asUser = await member.peer.as(user)
    const { fid } = await asUser.ask(['embed'], fid => fid.open(ORDWR, signal), signal)
    try {
      await fid.write(0, new TextEncoder().encode(JSON.stringify({ input: texts })), signal)
      const parts: Uint8Array[] = []
      for (
        let at = 0, piece: Uint8Array;
        (piece = await fid.read(at, 128 * 1024, signal)).length > 0;
        at += piece.length
      )
        parts.push(piece)
      return JSON.parse(Buffer.concat(parts).toString()) as Embedded
    } finally {
      fid.clunk().catch(() => undefined)
    }
  }

  const registry = new Registry({
    clock,
    random,
    events: { add: (kind, attrs) => root.events.add(kind, attrs) } as Feed,
    id,
    version: o.version,
    self,
    settings,
    on: {
      changed(member) {
        update(member)
        if (member.left) affinity.forget(member)
        announceReady()
        root.tasks.pump()
      },
      lost: (member, error) => place.lost(member, error),
      looked: member => recovery.looked(member),
      exited: (boot, signal) => place.died(boot, signal),
    },
  })
  const fleet: Fleet = new Fleet({
    clock,
    events: { add: (kind, attrs) => root.events.add(kind, attrs) },
    registry,
    used: () => place,
    waiting: () => root.tasks.waiting(),
    retire,
  })
  const models: Models = new Models(
    registry,
    clock,
    (model, error) => {
      for (const task of [...root.tasks.waiting()]) if (task.request.model === model) task.stop(error)
    },
    member => {
      member.ready = false
      registry.look(member)
    },
  )

  let waiting: { model: boolean; resolve(): void; reject(error: Error): void }[] = []
  const announceReady = () => {
    if (waiting.length === 0) return
    const members = [...registry.members.values()]
    const failure = members.find(member => member.report.state === 'failed')?.report.error
    waiting = waiting.filter(({ model, resolve, reject }) => {
      if (routing.free || (!model && members.length > 0)) resolve()
      else if (failure !== undefined) reject(new FsError(failure, 5))
      else return true
      return false
    })
  }

  const saver = store && new Saver(store, unsaved)
  const counters = new Counters(store, saver)
  saver?.save('id', () => `${id}\n`)

  const root: Root = new Root({
    name: '',
    owner,
    clock,
    place,
    queue: settings.queue,
    id: kind => counters.next(kind),
    saveSession: (number, session) =>
      saver?.save(`session-${number}`, session && (() => JSON.stringify(session.saved()))),
    base: request => o.defaults?.(request.model ?? models.only ?? '') ?? {},
    embed,
    told(line, kind) {
      const level = settings.log
      const shown = level === 'debug' || (level === 'info' ? !/^(task|attempt)-/.test(kind) : / error=/.test(line))
      if (shown) o.log?.(line)
    },
    verbs: { ...clusterVerbs(commands), ...fleet.verbs },
    settings: () => [...clusterLines(commands), ...fleet.lines],
    status: async () =>
      clusterStatus({
        name: o.name,
        id,
        boot,
        version: o.version,
        host: o.host,
        draining: closing,
        strategy: routing.strategy,
        slots: place.slots,
        active: place.active,
        queued: root.tasks.queued,
        rates: root.tasks.rates(),
        clusters: registry.clusters,
        uptime_s: Math.floor((clock.now() - began) / 1000),
        members: [...registry.members.values()],
        hosts: registry.hosts.size,
        models: models.list(),
      }),
    models: models.dir(owner, o.host),
    namespace: () => [
      ...(o.mounts?.() ?? []),
      ...[...registry.members.values()].map(({ name, peer }) => `mount ${peer.client.transport.name} ${name}`),
      ...[...registry.hosts].map(([name, peer]) => `mount ${peer.client.transport.name} host/${name}`),
      ...models.stores(o.host).map(({ name }) => `bind -a ${name}/models models`),
    ],
  })
  const recovery = new Recovery(id, root, place, task => Number(task) > counters.began)
  for (const name of store?.list() ?? []) {
    const [, number] = /^session-(\d+)$/.exec(name) ?? []
    const text = number && store?.read(name)
    if (text) root.sessions.restore(number, text)
  }
  place.onAgain = task => root.tasks.again(task)
  place.onFree = () => root.tasks.pump()
  root.events.add('started', { cluster: o.name, version: o.version, boot })

  const hosts = generated({
    owner,
    walk: name => registry.hosts.get(name)?.root,
    list: () => [...registry.hosts].map(([name, peer]) => [name, peer.root] as const),
  })
  const walk = (name: string, _ctx: Context): File | undefined =>
    root.files.get(name) ?? (name === 'host' ? hosts : registry.members.get(name)?.peer.root)
  const list = (): Entry[] => [
    ...root.files,
    ['host', hosts],
    ...[...registry.members].map(([name, { peer }]) => [name, peer.root] as const),
  ]

  return {
    root: generated({ owner, walk, list }),
    events: root.events,
    id,
    join: transport => registry.join(transport),
    ready({ model }, signal) {
      return new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason)
        signal?.addEventListener('abort', () => reject(signal.reason), { once: true })
        waiting.push({ model, resolve, reject })
        announceReady()
      })
    },
    failed: (error, user) => root.failed(error, user),
    async close() {
      closing = true
      fleet.close()
      root.close()
      // the workers are told to stop what they do for us before the connections go
      const until = clock.now() + limits.CLOSE_MS
      while (place.active > 0 && clock.now() < until) await sleep(clock, 5)
      place.close()
      registry.close()
      counters.close()
      await saver?.settled()
    },
  }
}
