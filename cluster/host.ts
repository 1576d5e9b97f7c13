import type { ServerAttributes, SupervisedAttributes } from '../api/report.js'
import type { Clock } from '../fs/clock.js'
import { fail } from '../fs/errors.js'
import type { File, Owner } from '../fs/file.js'
import { text } from '../fs/kit/content.js'
import { ctl, type Verb, word, word1 } from '../fs/kit/ctl.js'
import { dir } from '../fs/kit/dir.js'
import { Feed } from '../fs/kit/feed.js'
import { record } from '../fs/quote.js'
import { classRecord, type WorkerClass } from './class.js'
import type { SpawnSpec, Upstream, WorkerProcess, WorkerRecord } from './host/process.js'
import { Supervised, type Supervision } from './host/supervised.js'
import { hexId } from './id.js'
import { modelWord, number } from './root/settings.js'
import { newSecret } from './secret.js'
import type { Machine } from './worker/hardware.js'

/** How long a worker that is stopped may take, in ms: its answers have 25 s to end. */
const STOP_MS = 30_000
/** The same when its host ends, and somebody waits for that. */
const CLOSE_MS = 5_000
/** Workers of one host: more than any machine runs, and all of them stand in one `status`. */
const MAX_WORKERS = 1_000

export interface HostOptions {
  /** What the machine is called in a tree: `alpha`. */
  name: string
  /** The machine's for good. */
  id: string
  /** This start's. */
  boot: string
  version: string
  /** Who owns its files. */
  owner: Owner
  clock: Clock
  /** 0 to 1, as Math.random. */
  random: () => number
  /** Makes what nobody may guess; 256 bits of the system's random numbers unless given. */
  secret?: () => string
  /** Starts a worker's process. */
  spawn(spec: SpawnSpec): WorkerProcess
  /** Where its workers join. */
  upstream: Upstream
  classes: readonly WorkerClass[]
  machine: Machine
  /** Whether the kernel has ended a process for want of memory since this was asked last: the limit in words; else undefined. */
  outOfMemory?: () => string | undefined
  /** Workers that a host before this one had when it was killed. */
  saved?: readonly WorkerRecord[]
  /** The process of such a worker, if it still lives. */
  adopt?(saved: WorkerRecord): WorkerProcess | undefined
  /** Gets the workers that run whenever they change: what the next host is given as `saved`. */
  save?(records: readonly WorkerRecord[]): void
  /** `shutdown` was written to ctl. */
  shutdown(): void
  /** The cluster that it joined does not want it, and says why. */
  refused?(why: string): void
}

/** A machine that starts workers and keeps them running. */
export interface Host {
  readonly name: string
  /** ctl, status, events. */
  readonly root: File
  readonly events: Feed
  readonly workers: readonly Supervised[]
  /**
   * Starts n workers of a class, all or none.
   * @param hold the model that they load first, or `none`; their class's unless given
   * @returns their ids
   * @throws FsError `bad argument` for a class there is none of, `not enough memory for CLASS: needs A has B` in bytes
   */
  spawn(name: string, n?: number, hold?: string): string[]
  /** Ends one in peace (SIGTERM, SIGKILL after 30 s), not to be started again. Resolves when it is gone. */
  stop(id: string): Promise<void>
  /** Ends one at once, to be started again: one that hangs. */
  kill(id: string): void
  /** Stops all (SIGKILL after `grace_ms`, 5 s unless given; the last call counts). Resolves when they are gone. */
  close(grace_ms?: number): Promise<void>
}

/** Supervises the workers of one machine, and shows them as files: `host/NAME/` in an orchestrator's tree. */
export function createHost(o: HostOptions): Host {
  const { owner, clock, random } = o
  const events = new Feed(clock)
  const began = clock.now()
  const workers = new Map<string, Supervised>()
  let closing = false

  const promised = () =>
    [...workers.values()].reduce((sum, { state, of }) => sum + (state === 'starting' ? of.memory : 0), 0)

  /** What is free less what was promised to those that do not use it yet must do. */
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
    if (!of) throw fail('badArgument', `class ${name}: there are ${o.classes.map(({ name }) => name).join(' ')}`)
    return of
  }

  const check = (name: string, n: number): WorkerClass => {
    const of = classNamed(name)
    if (closing) throw fail('shuttingDown')
    number('spawn', n, 1, MAX_WORKERS, true)
    if (workers.size + n > MAX_WORKERS)
      throw fail('badArgument', `spawn ${n}: ${workers.size} of ${MAX_WORKERS} workers are there`)
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
    if (!worker) throw fail('notFound', `worker ${id}; status lists those of this host`)
    return worker
  }

  const verbs: Record<string, Verb> = {
    spawn: {
      usage: 'CLASS [N]',
      check(args) {
        if (args.length < 1 || args.length > 2) throw fail('badArgument', `${args.length} words: spawn CLASS [N]`)
        const n = number('spawn', args[1] ?? 1, 1, MAX_WORKERS, true)
        check(args[0]!, n)
        return () => void spawn(args[0]!, n)
      },
    },
    // how it goes on is in events: a drain takes longer than a write should
    stop: word1('ID', named, ({ id }) => void workers.get(id)?.stop(STOP_MS)),
    kill: word1('ID', named, worker => worker.kill()),
    hold: {
      usage: "ID MODEL|none|''",
      check(args) {
        if (args.length !== 2) throw fail('badArgument', `${args.length} words: hold ID MODEL`)
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
      record('server', {
        name,
        kind: 'host',
        id,
        boot,
        version,
        ...has,
        workers: workers.size,
        uptime_s,
      } satisfies ServerAttributes),
      ...[...workers.values()].map(({ id, pid, of, state, restarts, boot, hold, said }) =>
        record('worker', {
          id,
          pid,
          class: of.name,
          state,
          restarts,
          boot,
          hold,
          error: said,
        } satisfies SupervisedAttributes),
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
