/** A simulated cluster: one orchestrator, and machines with hosts and workers. */
import type { SpawnSpec, WorkerRecord } from '../../cluster/host/process.js'
import { createHost, type Host } from '../../cluster/host.js'
import { joinedOptions, joinedRoot, keepJoined } from '../../cluster/joining.js'
import { createOrchestrator } from '../../cluster/orchestrator/orchestrator.js'
import type { Store } from '../../cluster/orchestrator/saved.js'
import { sleep } from '../../fs/base/clock.js'
import type { File, User } from '../../fs/file.js'
import { type Connection, serve } from '../../fs/server/server.js'
import { Process, type Timeline } from './clock.js'
import { lying } from './faults.js'
import type { End, Net } from './net.js'
import type { Random } from './random.js'
import { machine, owner, SimWorker, type Temper } from './worker.js'

/** The properties of a cluster that are drawn before it begins. */
export interface Shape {
  /** The number of workers of each machine. The orchestrator runs on the first. */
  readonly machines: readonly number[]
  readonly slots: number
  readonly temper: Temper
}

/** The names that clients and joiners dial to reach the orchestrator. */
export const DOOR = '9p'
export const JOIN = 'join'

interface SimMachine {
  readonly name: string
  host: Host
  process: Process
}

export class Cluster {
  /** By process id, the workers that are alive. */
  readonly #workers = new Map<number, SimWorker>()
  readonly #machines = new Map<string, SimMachine>()
  /** By machine, the records that its host has saved of its workers. */
  readonly #saved = new Map<string, readonly WorkerRecord[]>()
  /** By worker id, how the worker's `generate` lies. */
  readonly lies = new Map<string, (read: Uint8Array) => Uint8Array | undefined>()
  /** The connections of clients that are served. */
  readonly sessions = new Set<Connection>()
  /** By worker id, since when no process of the worker lives. */
  readonly left = new Map<string, number>()
  /** Whether no worker has been lost yet. */
  calm = true
  /** Prompts that were being answered when the orchestrator was killed. */
  readonly orphans = new Set<string>()
  /** Writes a line to the cluster's ctl. */
  command: (line: string) => void = () => undefined
  /** Makes this many users ask for something at once. */
  crowd: (users: number) => void = () => undefined
  /** The names of the workers that the cluster shows. */
  names: () => string[] = () => []
  orchestrator: Process
  /** The files on the disk of the orchestrator's machine. */
  readonly #files = new Map<string, string>()
  readonly #undo = new Set<() => void>()
  #pids = 100

  constructor(
    readonly time: Timeline,
    readonly net: Net,
    readonly random: Random,
    readonly shape: Shape,
    readonly note: (line: string) => void,
  ) {
    this.orchestrator = this.#startOrchestrator()
    for (const [i, workers] of shape.machines.entries())
      this.#startMachine(`m${i}`, i === 0 ? this.orchestrator : this.process(`host m${i}`, `m${i}`), workers)
  }

  /** The orchestrator's machine. */
  get home(): string {
    return 'm0'
  }

  get machines(): string[] {
    return this.shape.machines.map((_, i) => `m${i}`)
  }

  get workers(): SimWorker[] {
    return [...this.#workers.values()]
  }

  process(name: string, machine: string): Process {
    const random = this.random.stream(`timers of ${name}`)
    return new Process(this.time, name, machine, () => random.next())
  }

  processes(): Process[] {
    return [this.orchestrator, ...this.workers.map(({ process }) => process)]
  }

  /** The workers that hosts keep running, each with its process if it has one. */
  expected(): { id: string; state: string; process: Process | undefined }[] {
    return [...this.#machines.values()].flatMap(({ host }) =>
      host.workers.map(({ id, state, pid }) => ({ id, state, process: this.#workers.get(pid ?? 0)?.process })),
    )
  }

  /** The workers' ends of their connections. */
  joined(): End[] {
    const workers = new Set(this.workers.map(({ process }) => process))
    return [...this.net.connections].map(({ dialled }) => dialled).filter(end => workers.has(end.process))
  }

  /** The clients' ends of their connections. */
  dialled(): End[] {
    return [...this.net.connections].map(({ dialled }) => dialled).filter(end => end.process.machine === 'clients')
  }

  /** Starts another process with a worker's id on some machine, as happens when a state directory is copied. */
  twin(worker: SimWorker): SimWorker {
    const spec = { ...worker.spec, boot: this.random.hex(8) }
    return this.#spawn(this.random.of(this.machines), spec)
  }

  /** Undoes a fault later, or when all faults end. */
  undoLater(ms: number, undo: () => void): void {
    const once = () => {
      if (!this.#undo.delete(once)) return
      undo()
    }
    this.#undo.add(once)
    this.time.at(this.time.now + ms, once)
  }

  /** Ends all faults. */
  heal(): void {
    for (const undo of [...this.#undo]) undo()
    this.net.healAll()
    // a hung engine is only noticed when it is asked: several that are left would use up all the tries of the first
    // exchange afterwards
    for (const worker of this.workers) if (worker.hung && worker.generating === 0) worker.wake()
  }

  /** The orchestrator's disk, which outlives it. */
  readonly store: Store = (files => ({
    read: name => files.get(name),
    write: async (name, text) => void files.set(name, text),
    append: async (name, text) => void files.set(name, files.get(name)! + text),
    remove: async name => void files.delete(name),
    list: () => [...files.keys()],
    setAside: name => void files.delete(name),
  }))(new Map([['id', 'c0ffee']]))

  /** Kills the orchestrator, and with it the host in its process, and starts another of each later. */
  restart(after_ms: number): void {
    this.orchestrator.kill()
    this.sessions.clear()
    for (const prompt of this.workers.flatMap(({ prompts }) => prompts)) this.orphans.add(prompt)
    this.time.at(this.time.now + after_ms, () => {
      this.orchestrator = this.#startOrchestrator()
      this.#startMachine(this.home, this.orchestrator, this.shape.machines[0] ?? 0)
      this.note('an orchestrator is started')
    })
  }

  #startOrchestrator(): Process {
    const { net, time } = this
    const process = this.process('orchestrator', this.home)
    const random = this.random.stream(`orchestrator ${time.now}`)
    const cluster = createOrchestrator({
      name: 'sim',
      version: '0.0.0',
      owner,
      store: this.#store(process),
      host: this.home,
      clock: process,
      random: random.next,
      secret: () => random.hex(64),
      shutdown: () => undefined,
    })
    const onerror = (error: unknown) => time.fail(error)
    net.listen(process, DOOR, transport => {
      const session = serve(transport, {
        attach: ({ uname, n_uname }): { root: File; user: User } => ({
          root: cluster.root,
          user: { name: uname, uid: n_uname, role: n_uname === owner.uid ? 'admin' : 'use' },
        }),
        onerror,
        onfail: cluster.failed,
        onwrite: cluster.succeeded,
        clock: process,
      })
      this.sessions.add(session)
      session.closed.then(() => this.sessions.delete(session))
    })
    net.listen(process, JOIN, transport => void cluster.join(transport).catch(onerror))
    return process
  }

  /**
   * The orchestrator's state directory, as a process sees it. A write takes effect a little later, if the process still
   * lives.
   */
  #store(process: Process): Store {
    const files = this.#files
    const later = (change: () => void) => sleep(process, 1).then(change)
    return {
      read: name => files.get(name),
      write: (name, text) => later(() => files.set(name, text)),
      append: (name, text) => later(() => files.set(name, files.get(name)! + text)),
      remove: name => later(() => files.delete(name)),
      list: () => [...files.keys()],
      setAside: name => void files.delete(name),
    }
  }

  /** By machine, the secret in its state directory. */
  readonly #secrets = new Map<string, string>()

  #secret(machine: string): string {
    const secret = this.#secrets.get(machine) ?? this.random.stream(`secret of ${machine}`).hex(64)
    this.#secrets.set(machine, secret)
    return secret
  }

  /** Starts a host and its workers. The host joins the cluster, too. */
  #startMachine(name: string, process: Process, workers: number): void {
    const random = this.random.stream(`host ${name} ${this.time.now}`)
    const secret = this.#secret(name)
    const host = createHost({
      name,
      id: `host-${name}`,
      boot: random.hex(8),
      version: '0.0.0',
      owner,
      clock: process,
      random: random.next,
      secret: () => random.hex(64),
      spawn: spec => this.#spawn(name, spec),
      upstream: { address: JOIN },
      classes: [{ name: 'default', model: 'echo', slots: this.shape.slots, memory: 0, cores: 1 }],
      machine,
      saved: this.#saved.get(name) ?? [],
      adopt: saved => this.#workers.get(saved.pid),
      save: records => this.#saved.set(name, records),
      shutdown: () => undefined,
    })
    this.#machines.set(name, { name, host, process })
    // as `up` does: workers that the host has adopted count
    const missing = workers - host.workers.length
    if (missing > 0) host.spawn('default', missing)
    void keepJoined(
      {
        clock: process,
        random: random.next,
        dial: signal => this.net.dial(process, JOIN, signal),
        serve: transport =>
          serve(transport, {
            attachOptions: joinedOptions,
            attach: ({ uname, n_uname, options }) => ({
              root: joinedRoot(host.root, secret, owner, options),
              user: { name: uname, uid: n_uname, role: (options.get('role') ?? 'use') as User['role'] },
            }),
            onerror: error => this.time.fail(error),
            clock: process,
          }),
      },
      new AbortController().signal,
    )
  }

  #spawn(machine: string, spec: SpawnSpec): SimWorker {
    const pid = this.#pids++
    const process = this.process(`w${pid}`, machine)
    const worker = new SimWorker(process, spec, () => this.#machines.get(machine)!.process, {
      pid,
      net: this.net,
      random: this.random.stream(`worker ${pid}`),
      temper: this.shape.temper,
      lie: files => lying(files, () => this.lies.get(spec.id)),
    })
    this.#workers.set(pid, worker)
    this.left.delete(spec.id)
    process.onDeath.push(() => {
      this.#workers.delete(pid)
      if (!this.workers.some(({ id }) => id === spec.id)) this.left.set(spec.id, this.time.now)
      this.note(`${process.name} has ended: ${JSON.stringify(worker.exit)}`)
    })
    this.note(`${process.name} starts on ${machine}: id ${spec.id} boot ${spec.boot}`)
    return worker
  }
}
