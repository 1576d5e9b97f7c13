/** The supervisor of one machine's workers, and its files: `host/NAME/` in an orchestrator's tree. */

import { fail } from '../api/errors.js'
import type { EventAttributes, Events } from '../api/events.js'
import { hostStatus, type ServerAttributes } from '../api/status.js'
import type { Clock } from '../fs/base/clock.js'
import type { File, Owner } from '../fs/file.js'
import { text } from '../fs/kit/content.js'
import { ctl, miscounted, type Verb, word, word1 } from '../fs/kit/ctl.js'
import { dir } from '../fs/kit/dir.js'
import { EventLog } from '../fs/kit/event-log.js'
import { noSuch } from './choices.js'
import { classRecord, type WorkerClass } from './class.js'
import type { SpawnSpec, Upstream, WorkerProcess, WorkerRecord } from './host/process.js'
import { Supervised, type Supervision } from './host/supervised.js'
import { hexId } from './id.js'
import { modelWord, number } from './root/settings.js'
import { newSecret } from './secret.js'
import type { Machine } from './worker/hardware.js'

/** How long a worker may take to stop, in ms: its running answers have 25 s to end. */
const STOP_MS = 30_000
/** The same when the host itself ends, in ms: somebody is waiting for that. */
const CLOSE_MS = 5_000
/** Most workers of one host: more than any machine runs, and all of them are listed in one `status`. */
const MAX_WORKERS = 1_000

export interface HostOptions {
  /** The name of the machine in a tree: `alpha`. */
  name: string
  /** Stays the same for the life of the machine. */
  id: string
  /** Changes with each start of the host. */
  boot: string
  version: string
  /** The owner of its files. */
  owner: Owner
  clock: Clock
  /** Returns 0 to 1, as Math.random does. */
  random: () => number
  /** Makes an unguessable secret; 256 bits of the system's random numbers if omitted. */
  secret?: () => string
  /** Starts a worker's process. */
  spawn(spec: SpawnSpec): WorkerProcess
  /** Where its workers join. */
  upstream: Upstream
  classes: readonly WorkerClass[]
  machine: Machine
  /**
   * Returns the memory limit in words if the kernel has killed a process for lack of memory since the last call;
   * otherwise undefined.
   */
  outOfMemory?: () => string | undefined
  /** The workers of an earlier host that was killed. */
  saved?: readonly WorkerRecord[]
  /** Returns the process of such a worker, if it is still alive. */
  adopt?(saved: WorkerRecord): WorkerProcess | undefined
  /** Called with the running workers whenever they change; the next host gets them as `saved`. */
  save?(records: readonly WorkerRecord[]): void
  /** Called when `shutdown` is written to ctl. */
  shutdown(): void
  /** Called when the cluster that it joined refuses it, with the reason. */
  refused?(why: string): void
}

/** A machine that starts workers and keeps them running. */
export interface Host {
  readonly name: string
  /** The directory with ctl, status and events. */
  readonly root: File
  readonly events: Events
  readonly workers: readonly Supervised[]
  /**
   * Starts n workers of a class, all or none.
   * @param hold the model that they load first, or `none`; the model of their class if omitted
   * @returns their ids
   * @throws FsError `bad argument` for an unknown class, `not enough memory for CLASS: needs A has B` in bytes
   */
  spawn(name: string, n?: number, hold?: string): string[]
  /** Stops a worker gracefully (SIGTERM, SIGKILL after 30 s) and does not start it again. Resolves when it is gone. */
  stop(id: string): Promise<void>
  /** Kills a worker that hangs. It is started again. */
  kill(id: string): void
  /**
   * Stops all workers, each with SIGKILL after `grace_ms` (5 s if omitted; the last call counts). Resolves when they
   * are gone.
   */
  close(grace_ms?: number): Promise<void>
}

/** Supervises the workers of one machine, and shows them as files. */
export function createHost(o: HostOptions): Host {
  const { owner, clock, random } = o
  const events = new EventLog<EventAttributes>(clock)
  const began = clock.now()
  const workers = new Map<string, Supervised>()
  let closing = false

  const promised = () =>
    [...workers.values()].reduce((sum, { state, of }) => sum + (state === 'starting' ? of.memory : 0), 0)

  /** Memory that is free, less the memory promised to workers that have not taken it yet, must suffice. */
  const fit = (of: WorkerClass, n: number) => {
    const has = Math.max(0, o.machine.memory().free - promised())
    if (n * of.memory > has) throw fail('noMemory', `${of.name}: needs ${n * of.memory} has ${has}`)
  }

  const by: Supervision = {
    clock,
    random,
    upstream: o.upstream,
    host_id: o.id,
    spawn: spec => o.spawn(spec),
    told: (kind, attrs) => events.add(kind, attrs),
    changed: () => o.save?.([...workers.values()].flatMap(worker => worker.record ?? [])),
    admit: of => fit(of, 1),
    outOfMemory: o.outOfMemory ?? (() => undefined),
  }

  const { secret: mint = newSecret } = o
  const add = (id: string, of: WorkerClass, secret = mint()): Supervised => {
    const worker = new Supervised(id, of, by, secret)
    workers.set(id, worker)
    void worker.gone.then(() => workers.delete(id))
    return worker
  }

  const classNamed = (name: string): WorkerClass => {
    const of = o.classes.find(of => of.name === name)
    if (!of)
      throw noSuch(
        'class',
        name,
        o.classes.map(({ name }) => name),
        'this host has no classes',
      )
    return of
  }

  const check = (name: string, n: number): WorkerClass => {
    const of = classNamed(name)
    if (closing) throw fail('shuttingDown')
    number('spawn', n, 1, MAX_WORKERS, true)
    if (workers.size + n > MAX_WORKERS)
      throw fail('badArgument', `spawn ${n}: ${workers.size} of at most ${MAX_WORKERS} workers exist`)
    return of
  }

  const spawn = (name: string, n = 1, hold?: string): string[] => {
    const of = check(name, n)
    try {
      fit(of, n)
    } catch (error) {
      events.add('spawn-refused', { class: name, error: (error as Error).message })
      throw error
    }
    return Array.from({ length: n }, () => {
      const worker = add(hexId(random, 32), of)
      worker.hold = hold
      worker.start()
      return worker.id
    })
  }

  const named = (id: string): Supervised => {
    const worker = workers.get(id)
    if (!worker) throw fail('notFound', `worker ${id}; status lists the workers of this host`)
    return worker
  }

  const verbs: Record<string, Verb> = {
    spawn: {
      usage: 'CLASS [N]',
      check(args) {
        if (args.length < 1 || args.length > 2) throw miscounted('arguments CLASS [N]', args.length)
        const n = number('spawn', args[1] ?? 1, 1, MAX_WORKERS, true)
        check(args[0]!, n)
        return () => void spawn(args[0]!, n)
      },
    },
    // progress is reported in `events`: draining takes longer than a write should
    stop: word1('ID', named, ({ id }) => void workers.get(id)?.stop(STOP_MS)),
    kill: word1('ID', named, worker => worker.kill()),
    hold: {
      usage: "ID MODEL|none|''",
      check(args) {
        if (args.length !== 2) throw miscounted('two arguments (ID MODEL)', args.length)
        const [id = '', model = ''] = args
        named(id)
        modelWord(model)
        return () => {
          const worker = workers.get(id)
          if (worker) worker.hold = model || undefined
        }
      },
    },
    shutdown: word(() => o.shutdown()),
    refused: word1('WHY', String, why => {
      events.add('refused', { error: why })
      o.refused?.(why)
    }),
  }

  const status = () => {
    const { total, free } = o.machine.memory()
    const { name, id, boot, version } = o
    const { cpu, cores, gpu, gpu_mem } = o.machine
    const uptime_s = Math.floor((clock.now() - began) / 1000)
    const has = { mem_total: total, mem_free: free, cpu, cores, gpu, gpu_mem } satisfies ServerAttributes
    const lines = [
      hostStatus.line('server', {
        name,
        kind: 'host',
        id,
        boot,
        version,
        ...has,
        workers: workers.size,
        uptime_s,
      }),
      ...[...workers.values()].map(({ id, pid, of, state, restarts, boot, hold, said }) =>
        hostStatus.line('worker', {
          id,
          pid,
          class: of.name,
          state,
          restarts,
          boot,
          hold,
          error: said,
        }),
      ),
      ...o.classes.map(classRecord),
    ]
    return `${lines.join('\n')}\n`
  }

  const root = dir(
    new Map<string, File>([
      ['ctl', ctl({ owner, verbs, read: () => '' })],
      ['status', text(status, { owner })],
      ['events', events.file(owner, 0o444)],
      ['event', events.stream(owner, 0o444)],
    ]),
    owner,
  )
  events.add('started', { host: o.name, version: o.version, boot: o.boot })
  for (const saved of o.saved ?? []) {
    const process = o.adopt?.(saved)
    if (!process) continue
    const worker = add(saved.id, saved.class, saved.secret)
    worker.adopt(process, saved.boot)
    worker.hold = saved.hold
  }

  return {
    name: o.name,
    root,
    events,
    get workers() {
      return [...workers.values()]
    },
    spawn,
    stop: id => named(id).stop(STOP_MS),
    kill: id => named(id).kill(),
    async close(grace_ms = CLOSE_MS) {
      closing = true
      await Promise.all([...workers.values()].map(worker => worker.stop(grace_ms)))
    },
  }
}
