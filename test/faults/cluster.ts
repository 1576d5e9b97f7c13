/** A cluster of real processes, for the fault scenarios. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isAlive } from '../../cli/serverfile.js'
import type { WorkerRecord } from '../../cluster/host/process.js'
import { parseRecords } from '../../fs/base/quote.js'
import { Client } from '../../fs/client/client.js'
import { dial } from '../../fs/dial.js'
import { isMounted, unmount } from '../../mnt/mount.js'
import { Tree } from '../cluster/worker/fixture.js'
import { Home, type Run } from '../ctl/fixture.js'
import { until } from './stage.js'

/** The part of a scenario or a test that is needed here. */
interface Test {
  teardown(undo: () => unknown): unknown
}

/** A worker as in `status`, with its process from the host's own records. */
export interface Worker {
  readonly name: string
  readonly id: string
  readonly boot: string
  readonly state: string
  readonly active: number
  /** Undefined if the worker is not a process of our own host. */
  readonly pid: number | undefined
}

export interface ClusterOptions {
  workers?: number
  slots?: number
  /** Variables of the server besides those of `Home`, which are engine echo and no mount. */
  env?: NodeJS.ProcessEnv
  /** Whether the server mounts itself, at `mount`. */
  mount?: boolean
  args?: readonly string[]
  /** The command that runs its programs, such as `ip netns exec NAME`. */
  within?: readonly string[]
  /** Lines to write to its ctl. */
  ctl?: readonly string[]
}

/** `llamboctl up` in a home of its own, with queries of its state. Its workers are gone at the end, too. */
export class Cluster {
  readonly home: Home
  run!: Run
  root!: Tree
  #clients: Client[] = []

  private constructor(
    readonly stage: Test,
    readonly o: ClusterOptions,
  ) {
    this.home = new Home(stage, o.env, o.within)
    // before the home is removed: a server that was killed leaves its workers behind
    stage.teardown(async () => {
      for (const client of this.#clients) client.close()
      const workers = this.#saved()
      await this.home.ctl('down')
      for (const { pid, born } of [...workers, ...this.#saved()])
        if (isAlive({ pid, born })) process.kill(pid, 'SIGKILL')
      if (await isMounted(this.mount)) await unmount(this.mount)
    })
  }

  static async start(stage: Test, o: ClusterOptions = {}): Promise<Cluster> {
    const cluster = new Cluster(stage, o)
    await cluster.up()
    if (o.ctl) await cluster.root.write('ctl', o.ctl.map(line => `${line}\n`).join(''))
    return cluster
  }

  /** Starts the server, or starts it again after it has ended, and waits until all workers are ready. */
  async up(more: readonly string[] = []): Promise<void> {
    const { workers = 3, slots = 4, args = [] } = this.o
    const mounted = this.o.mount ? ['--mount', this.mount] : []
    this.run = await this.home.up('--workers', String(workers), '--slots', String(slots), ...mounted, ...args, ...more)
    this.root = await this.tree()
    await this.ready(workers)
  }

  /** Shuts the server down in order. */
  async stop(): Promise<void> {
    this.run.child.kill('SIGTERM')
    await this.run.ended
  }

  get mount(): string {
    return this.home.path('n')
  }

  get address(): string {
    return `unix!${this.path('9p')}`
  }

  /** The address at which the server listens for HTTP. */
  get url(): string {
    return /listening on (ws:\S+)/.exec(this.run.stderr + this.run.stdout)![1]!
  }

  /** A file of the server's runtime directory. */
  path(name: string): string {
    return join(this.home.dir, 'run/llambo', name)
  }

  /** A connection of its own, as that user. */
  async tree(user?: { name: string; uid: number }): Promise<Tree> {
    const client = await Client.connect(await dial(this.address))
    this.#clients.push(client)
    return new Tree(await client.attach({ uname: user?.name ?? '', ...(user && { n_uname: user.uid }) }))
  }

  async status(): Promise<Record<string, string>> {
    return parseRecords(await this.root.read('status'))[0]!.attrs
  }

  async workers(): Promise<Worker[]> {
    const pids = new Map(this.#saved().map(({ id, pid }) => [id, pid]))
    return parseRecords(await this.root.read('status'))
      .filter(({ word }) => word === 'worker')
      .map(({ attrs: a }) => ({
        name: a.name!,
        id: a.id!,
        boot: a.boot!,
        state: a.state!,
        active: Number(a.active),
        pid: pids.get(a.id!),
      }))
  }

  async worker(name: string): Promise<Worker> {
    const all = await this.workers()
    const one = all.find(worker => worker.name === name)
    if (!one) throw new Error(`no ${name} among ${all.map(w => w.name).join(' ')}`)
    return one
  }

  /** Waits until n workers are ready for a prompt. */
  async ready(n: number, ms = 60_000): Promise<Worker[]> {
    return until(`${n} workers ready`, ms, async () => {
      const all = (await this.workers()).filter(({ state }) => state === 'idle' || state === 'busy')
      return all.length >= n && all
    })
  }

  async task(id: string): Promise<Record<string, string>> {
    return parseRecords(await this.root.read(`task/${id}/status`))[0]!.attrs
  }

  /** The newest task. */
  async newest(): Promise<Record<string, string> | undefined> {
    const [id] = (await this.root.names('task')).sort((a, b) => Number(b) - Number(a))
    return id === undefined ? undefined : this.task(id)
  }

  /** The worker that the newest task gets tokens from, once the task has been moved `resumed` times. */
  answering(resumed = 0, ms = 30_000): Promise<Worker & { pid: number }> {
    return until(`an answer that was moved ${resumed} times`, ms, async () => {
      const task = await this.newest()
      if (task?.state !== 'running' || Number(task.resumed) !== resumed) return false
      const worker = (await this.workers()).find(({ name }) => name === task.worker)
      return worker?.pid !== undefined && { ...worker, pid: worker.pid }
    })
  }

  /** Follows events: all from now on, and recent ones. */
  async events(): Promise<Events> {
    return new Events(await this.tree())
  }

  #saved(): readonly WorkerRecord[] {
    try {
      return (JSON.parse(readFileSync(this.path('workers.json'), 'utf8')) as { workers: WorkerRecord[] }).workers
    } catch {
      return []
    }
  }
}

/** Follows a tree's `event`. */
export class Events {
  readonly seen: Record<string, string>[] = []

  constructor(tree: Tree) {
    void this.#follow(tree).catch(() => undefined)
  }

  async #follow(tree: Tree): Promise<void> {
    const fid = await tree.open('event', 0)
    let rest = ''
    for (let at = 0; ; ) {
      const piece = await fid.read(at, 65536)
      at += piece.length
      const lines = (rest + new TextDecoder().decode(piece)).split('\n')
      rest = lines.pop()!
      for (const line of lines) this.seen.push(parseRecords(`event ${line}\n`)[0]!.attrs)
    }
  }

  all(kind: string): Record<string, string>[] {
    return this.seen.filter(event => event.kind === kind)
  }

  /** Waits for an event of that kind with those attributes. */
  next(kind: string, attrs: Record<string, string> = {}, ms = 30_000): Promise<Record<string, string>> {
    const is = (event: Record<string, string>) => Object.entries(attrs).every(([key, value]) => event[key] === value)
    return until(`event ${kind} ${JSON.stringify(attrs)}`, ms, () => this.all(kind).find(is))
  }
}
