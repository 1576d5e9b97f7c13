/** Puts an orchestrator together: the tree of a cluster, and the parts behind it. */

import { FsError, fail, received } from '../../api/errors.js'
import * as field from '../../api/field.js'
import { DAMAGED } from '../../api/runtime.js'
import { sessionText, turnText } from '../../api/session.js'
import { type Clock, every, sleep, systemClock } from '../../fs/base/clock.js'
import { quote } from '../../fs/base/quote.js'
import type { Context, Entry, File, Owner, User } from '../../fs/file.js'
import { generated } from '../../fs/kit/dir.js'
import { EventLog } from '../../fs/kit/event-log.js'
import type { Transport } from '../../fs/transport.js'
import { hexId } from '../id.js'
import { Budget } from '../root/budget.js'
import type { Sampling } from '../root/generation.js'
import * as rootLimits from '../root/limits.js'
import { Root } from '../root/root.js'
import { type SpillDisk, Spills } from '../root/spills.js'
import { newSecret, paired } from '../secret.js'
import { Commands } from './commands.js'
import { Affinity } from './dispatch/affinity.js'
import { Dispatcher } from './dispatch/dispatcher.js'
import { embed } from './dispatch/embed.js'
import { Proofs } from './dispatch/proof.js'
import { Recovery } from './dispatch/recovery.js'
import { Routing } from './dispatch/routing.js'
import * as limits from './limits.js'
import { Ends } from './members/ends.js'
import { Hosts } from './members/hosts.js'
import { Identities } from './members/identities.js'
import type { Member } from './members/member.js'
import { Membership } from './members/membership.js'
import { Models } from './models/catalog.js'
import { WantedModels } from './models/wanted.js'
import { Counters, Restored, Saver, type Store, sessionFile } from './saved.js'
import { Fleet } from './scaling/fleet.js'
import type { ClusterSettings } from './settings.js'
import { clusterStatus } from './status.js'
import { clusterLines, clusterVerbs } from './verbs.js'

export interface OrchestratorOptions {
  /** The cluster's name. */
  name: string
  version: string
  owner: Owner
  /**
   * Persistent storage for the cluster's id, the numbers it has given out, its sessions and the settings of its `ctl`.
   * If omitted, nothing is persisted.
   */
  store?: Store
  /** The machine that the orchestrator is on: models that are copied to the cluster go there. */
  host: string
  /** Users, besides admins, that may ask for a priority above 0. */
  prioritised?: readonly string[]
  /** The memory that may be kept for users. If omitted, it has no limit. */
  budget?: Budget
  /** Where long answers and transcripts go. If omitted, they stay in memory. */
  spill?: SpillDisk
  clock?: Clock
  random?: () => number
  /** Makes a secret that nobody can guess. If omitted, it is 256 bits of the system's random numbers. */
  secret?: () => string
  settings?: Partial<ClusterSettings>
  /** Whether the model was chosen for this start. An earlier `load` for the whole cluster is then forgotten. */
  newModel?: boolean
  /** Sampling that suits a model, where the user has set nothing. It is only shown: workers know better. */
  defaults?: (model: string) => Partial<Sampling>
  /** Lines that `namespace` shows besides those of workers and hosts. */
  mounts?: () => string[]
  /** Called with a line for each event that `log level` lets through. */
  log?: (line: string) => void
  /** Called when `shutdown` is written to `ctl`. */
  shutdown(): void
  /** Called when the cluster that we joined refuses us. */
  refused?(why: string): void
}

export interface Orchestrator {
  readonly root: File
  readonly events: EventLog
  /** Our own id. Requests that came through here carry it. */
  readonly id: string
  /** The secret that shows a cluster that we join that we are this one. */
  readonly secret: string
  /**
   * The model that a new worker of the default class should load first: a name or a path, or `none`. Empty: the class's
   * own.
   * @param model the class's own
   */
  holds(model: string | undefined): string
  /** Admits a peer that has connected to our join endpoint: it serves its files on that connection. Never rejects. */
  join(transport: Transport): Promise<void>
  /**
   * Resolves when a prompt would be answered; with `model: false`, when there is a worker to load a model.
   * @param o.workers how many workers are started with the server
   * @throws why none of them can answer
   */
  ready(o: { model: boolean; workers: number }, signal?: AbortSignal): Promise<void>
  /** Must be called for each failure that a user is answered with: the user's `error` file shows it. */
  failed(error: Error, user: User, file: string): void
  /** Must be called for each write of a user that succeeds: the user's `error` file is then empty. */
  succeeded(user: User): void
  /** How many exchanges are waiting or running. */
  readonly unfinished: number
  /**
   * Refuses new prompts, lets the present ones finish, and ends the rest with `shutting down` when the signal aborts.
   * @returns when none is left
   */
  drain(signal: AbortSignal): Promise<void>
  /** Ends all exchanges with `shutting down`, and closes all connections. */
  close(): Promise<void>
}

/** Serves many workers as one tree (docs/files.md). It uses them through their files, and nothing else. */
export function createOrchestrator(o: OrchestratorOptions): Orchestrator {
  const { owner, clock = systemClock, random = Math.random } = o
  const { store, budget = new Budget() } = o
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

  const events = new EventLog(clock, (line, kind) => {
    const level = settings.log
    const shown = level === 'debug' || (level === 'info' ? !/^(task|attempt)-/.test(kind) : / error=/.test(line))
    if (shown) o.log?.(line)
  })

  /** A disk that is full costs only what would survive a restart: the cluster goes on. */
  const unsaved = (file: string, error: Error) => events.add('not-saved', { file, error: error.message })
  const saver = store && new Saver(store, unsaved)
  const spills = o.spill && new Spills(o.spill, clock, error => events.add('not-spilled', { error: error.message }))
  const damaged = (name: string, error: Error) =>
    events.add('not-restored', {
      session: sessionFile.exec(name)?.[1],
      kept: `${name}${DAMAGED}`,
      error: error.message,
    })
  const restored = new Restored(store, damaged, unsaved)

  const before = restored.read('id', text => field.id(text.trim(), 'id')) ?? ''
  // the id and the secret are made together: a cluster that has lost its secret is another cluster
  const kept = restored.read('secret', text => {
    const secret = paired(before, text)
    if (secret === undefined)
      throw fail('io', before ? `this is not the secret of the cluster ${before}` : 'the id of its cluster is lost')
    return secret
  })
  const id = kept === undefined ? hexId(random, 32) : before
  const secret = kept ?? (o.secret ?? newSecret)()
  const boot = hexId(random, 8)
  const proofs = new Proofs(secret)

  const affinity = new Affinity<Member>()
  const routing = new Routing(random, affinity, member => allowed(member))

  /**
   * Whether a member may be chosen: it is not paused, and not in quarantine unless no other member serves its model.
   */
  const allowed = (member: Member): boolean => {
    const now = clock.now()
    const free = ({ quarantinedUntil: asideUntil, pausedUntil }: Member) => asideUntil <= now && pausedUntil <= now
    if (member.pausedUntil > now) return false
    if (free(member)) return true
    const { model } = member
    for (const other of membership.members.values()) {
      if (other !== member && other.model?.name === model?.name && other.serving && free(other)) return false
    }
    return true
  }
  const update = (member: Member) => {
    models.changed(member)
    routing.update(member)
    // a quarantined member may be chosen if no other serves its model any more: this member may have been the last
    for (const other of membership.quarantined) routing.update(other)
  }

  const hung = (member: Member, why: string) => {
    if (member.left) return
    events.add('worker-hung', { worker: member.name, error: why })
    void hosts
      .of(member)
      ?.command(`kill ${member.id}\n`)
      .catch(() => undefined)
    membership.leave(member, fail('hungUp', `${member.name}: ${why}`))
  }

  const dispatcher: Dispatcher = new Dispatcher(
    clock,
    routing,
    affinity,
    {
      id,
      proofs,
      members: () => membership.members.values(),
      known(request) {
        const lacking = nobody()
        if (lacking) throw lacking
        models.known(request)
      },
      coming: request => models.coming(request),
      plain: () => models.plain,
      bring: request => models.bring(request),
      accept() {
        if (closing) throw fail('shuttingDown')
      },
      hung,
      good: member => membership.good(member),
      refused(member) {
        // it counts as full until its status is here
        member.externalActive = member.report.slots
        routing.update(member)
        membership.refreshStatus(member)
      },
      failed(member, error) {
        events.add('attempt-failed', { worker: member.name, error: error.message })
        if (error instanceof FsError && error.is('upstreamFailed')) membership.doubt(member)
        if (++member.failures >= limits.FAILURES)
          membership.quarantine(member, `${member.failures} answers in a row broke off`)
      },
    },
    events,
    settings,
    random,
  )

  const identities = new Identities(restored, saver, clock, joiner => membership.has(joiner))
  const ends = new Ends(clock, events)
  const hosts = new Hosts({
    clock,
    events,
    self,
    settings,
    exited(host_id, exit) {
      ends.told(host_id, exit)
      const { boot, signal } = exit
      if (signal === undefined) return
      dispatcher.died(host_id, boot, signal)
      const model = models.fatal.died(host_id, boot, signal)
      if (model !== undefined) events.add('load-fatal', { model, boot, signal })
    },
  })
  const membership: Membership = new Membership({
    hosts,
    identities,
    ends,
    clock,
    random,
    events,
    budget,
    id,
    version: o.version,
    self,
    settings,
    on: {
      changed(member) {
        update(member)
        met = true
        lastMet = clock.now()
        if (member.left) affinity.forget(member)
        announceReady()
        root.tasks.pump()
      },
      lost: (member, error) => dispatcher.lost(member, error),
      refreshed: member => recovery.refreshed(member),
      hung,
    },
  })
  const fleet: Fleet = new Fleet({
    clock,
    events,
    membership,
    hosts,
    used: () => dispatcher,
    waiting: () => root.tasks.waiting(),
    retire: member => commands.retire(member),
  })
  const wanted = new WantedModels()
  const models: Models = new Models(
    membership,
    hosts,
    wanted,
    clock,
    o.host,
    (model, error) => {
      for (const task of [...root.tasks.waiting()]) if (task.request.model === model) task.stop(error)
    },
    member => {
      member.ready = false
      membership.refreshStatus(member)
    },
    events,
  )

  /** Whether there has ever been a worker, also before this start, and when one last joined, reported or left. */
  let met = before !== ''
  let lastMet = began
  /**
   * Why there is no point in waiting for a worker; undefined if there is. Either there is none, none is starting, and
   * none that was disconnected may still come back; or all upstreams are away.
   */
  const nobody = (): Error | undefined => {
    const reports = [...hosts.peers.values()].map(({ report }) => report)
    const members = [...membership.members.values()]
    if (members.length > 0) {
      const starting = reports.some(({ workers }) => workers.some(({ state }) => state === 'starting'))
      const away = members.every(({ remote, error }) => remote && error !== undefined)
      return away && !starting ? received(members[0]!.error!) : undefined
    }
    if (clock.now() - lastMet < (met ? limits.NEXT_WORKER_MS : limits.FIRST_WORKER_MS)) return undefined
    if (reports.some(({ workers }) => workers.some(({ state }) => state !== 'stopping'))) return undefined
    if (reports.length > 0 && fleet.lines.includes('autoscale on')) return undefined
    return fail('noWorkers', 'start one with: llamboctl spawn default, or add a machine with: llamboctl join')
  }
  const stopLooking = every(clock, limits.WATCH_MS, () => {
    const lacking = nobody()
    if (lacking) root.tasks.fail(lacking)
  })

  let waiting: { model: boolean; workers: number; resolve(): void; reject(error: Error): void }[] = []
  const announceReady = () => {
    if (waiting.length === 0) return
    const members = [...membership.members.values()]
    const failures = members.flatMap(({ error }) => error ?? [])
    waiting = waiting.filter(({ model, workers, resolve, reject }) => {
      if (routing.free || (!model && members.length > 0)) resolve()
      else if (failures.length >= workers) reject(new FsError(failures[0]!, 5))
      else return true
      return false
    })
  }

  const counters = new Counters(restored, saver)
  saver?.save('id', () => `${id}\n`)
  saver?.save('secret', () => `${id} ${secret}\n`)

  const { shutdown } = o
  const refused = (why: string) => o.refused?.(why)
  const changed = (member: Member) => {
    update(member)
    root.tasks.pump()
  }
  const commands: Commands = new Commands({
    clock,
    events,
    settings,
    routing,
    membership,
    models,
    wanted,
    fleet,
    hosts,
    dispatcher: dispatcher,
    changed,
    shutdown,
    refused,
  })

  const root: Root = new Root({
    name: '',
    owner,
    events,
    clock,
    executor: dispatcher,
    budget,
    ...(spills && { spills }),
    mayPrioritise: user => user.role === 'admin' || (o.prioritised?.includes(user.name) ?? false),
    queue: settings.queue,
    id: kind => counters.next(kind),
    saveSession: (number, session, added) =>
      saver?.save(`session-${number}`, session && (() => sessionText(session.saved())), added && turnText(added)),
    saveSettings: lines => saver?.save('ctl', lines.length ? () => lines.join('\n') : undefined),
    base: request => o.defaults?.(request.model ?? models.plain ?? models.only ?? '') ?? {},
    embed: (request, user, signal) => {
      const { plain } = models
      return embed(membership.members.values(), { ...(plain && { model: plain }), ...request }, user, signal)
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
        model: models.plain,
        slots: dispatcher.slots,
        active: dispatcher.active,
        memory: Number.isFinite(budget.limit) ? budget.limit : undefined,
        memory_used: budget.used,
        queued: root.tasks.queued,
        rates: root.tasks.rates(),
        clusters: membership.clusters,
        uptime_s: Math.floor((clock.now() - began) / 1000),
        members: membership.listed,
        hostOf: member => hosts.nameOf(member),
        machineOf: member => hosts.machineOf(member),
        endOf: member => ends.why(member),
        hosts: hosts.peers.size,
        models: models.list(),
      }),
    models: models.dir(owner, o.host),
    namespace: () => [
      ...(o.mounts?.() ?? []),
      ...membership.listed.map(({ name, peer }) => `mount ${quote(peer.client.transport.name)} ${name}`),
      ...[...hosts.peers].map(([name, peer]) => `mount ${quote(peer.client.transport.name)} host/${name}`),
      ...models.stores(o.host).map(({ name }) => `bind -a ${name}/models models`),
    ],
  })
  const recovery = new Recovery(
    id,
    root,
    dispatcher,
    task => Number(task) > counters.began,
    () => membership.members.values(),
    clock,
    proofs,
  )
  for (const name of restored.names) {
    const [, number] = sessionFile.exec(name) ?? []
    if (number !== undefined) restored.read(name, text => root.sessions.restore(number, text))
  }
  dispatcher.onAgain = task => root.tasks.again(task)
  dispatcher.onFree = () => root.tasks.pump()
  events.add('started', { cluster: o.name, version: o.version, boot })
  restored.read('ctl', text => {
    const failures = root.restoreSettings(text, { user: self, signal: new AbortController().signal })
    if (failures === 0) return
    // the file is kept aside because it is now written again, without the lines that could not be set
    restored.setAside('ctl', fail('io', `${failures} of its lines are not valid`))
    root.keepSettings()
  })
  commands.restored()
  if (o.newModel) {
    wanted.clear()
    root.keepSettings()
  }

  const hostDir = generated({
    owner,
    walk: name => hosts.peers.get(name)?.root,
    list: () => [...hosts.peers].map(([name, peer]) => [name, peer.root] as const),
  })
  const walk = (name: string, _ctx: Context): File | undefined =>
    root.files.get(name) ?? (name === 'host' ? hostDir : membership.members.get(name)?.peer.root)
  const list = (): Entry[] => [
    ...root.files,
    ['host', hostDir],
    ...membership.listed.map(({ name, peer }) => [name, peer.root] as const),
  ]

  return {
    root: generated({ owner, walk, list }),
    events,
    id,
    secret: proofs.joining,
    holds: model => wanted.holdOf(undefined, model),
    join: transport => membership.join(transport),
    ready({ model, workers }, signal) {
      return new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason)
        const abort = () => {
          waiting = waiting.filter(other => other !== wait)
          reject(signal?.reason)
        }
        const settle =
          <A extends unknown[]>(how: (...args: A) => void) =>
          (...args: A) => {
            signal?.removeEventListener('abort', abort)
            how(...args)
          }
        const wait = { model, workers: Math.max(1, workers), resolve: settle(resolve), reject: settle(reject) }
        signal?.addEventListener('abort', abort, { once: true })
        waiting.push(wait)
        announceReady()
      })
    },
    failed: (error, user, file) => root.failed(error, user, file),
    succeeded: user => root.succeeded(user),
    get unfinished() {
      return dispatcher.active + root.tasks.queued
    },
    async drain(signal) {
      closing = true
      const aborted = new Promise<void>(resolve => {
        if (signal.aborted) resolve()
        else signal.addEventListener('abort', () => resolve(), { once: true })
      })
      await Promise.race([root.tasks.idle(), aborted])
      root.tasks.stop(fail('shuttingDown'))
    },
    async close() {
      closing = true
      stopLooking()
      fleet.close()
      root.close()
      // our exchanges on the workers are stopped before the connections are closed
      const until = clock.now() + limits.CLOSE_MS
      while (dispatcher.active > 0 && clock.now() < until) await sleep(clock, 5)
      dispatcher.close()
      membership.close()
      hosts.close()
      counters.close()
      await saver?.settled()
    },
  }
}
