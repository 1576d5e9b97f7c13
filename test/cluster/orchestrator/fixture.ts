/** A cluster in this process for tests: an orchestrator, workers, and the connections between them. */
import { setTimeout as sleep } from 'node:timers/promises'
import { fail } from '../../../api/errors.js'
import { joinedOptions, joinedRoot } from '../../../cluster/joining.js'
import type { Orchestrator, OrchestratorOptions } from '../../../cluster/orchestrator/options.js'
import { createOrchestrator } from '../../../cluster/orchestrator/orchestrator.js'
import type { Store } from '../../../cluster/orchestrator/saved.js'
import { digestOf } from '../../../cluster/secret.js'
import { createEchoEngine } from '../../../cluster/worker/engine/echo.js'
import type { Engine } from '../../../cluster/worker/engine/engine.js'
import type { ModelEntry, ModelStore } from '../../../cluster/worker/models.js'
import { createWorker, type Worker } from '../../../cluster/worker/worker.js'
import { parseRecords } from '../../../fs/base/quote.js'
import { Client } from '../../../fs/client/client.js'
import type { User } from '../../../fs/file.js'
import { dir } from '../../../fs/kit/dir.js'
import { type Connection, serve } from '../../../fs/server/server.js'
import { transportPair } from '../../../fs/transport/pair.js'
import type { Transport } from '../../../fs/transport.js'
import { Tree } from '../worker/fixture.js'

const owner = { name: 'root', uid: 0 }

/** The part of a tap test that this file needs. */
interface Test {
  teardown(fn: () => unknown): unknown
}

export interface Shape {
  /** Models on the worker's host, by name; the first is loaded unless `load` says otherwise. */
  models?: readonly string[]
  load?: string | false
  /** The size of each model's file, in bytes. */
  size?: number
  slots?: number
  /** Tokens a second; 0: as fast as possible. */
  rate?: number
  host?: string
  /** The type of its model. */
  type?: string
  /** Workers with a higher number get plain prompts first. */
  prefer?: number
  /** How long a model takes to load, in ms. */
  load_ms?: number
  /** Makes the engine to use in place of echo. */
  engine?: (model: string, engine: Engine) => Engine
}

/** A worker in this process, with its connection to the cluster. */
export class Member {
  worker!: Worker
  session: Connection | undefined
  #near: Transport | undefined

  constructor(
    readonly cluster: Orchestrator,
    readonly shape: Shape,
    readonly id: string,
  ) {}

  /** Starts the worker, also again, as a process that is started again. */
  async start(): Promise<void> {
    const { models = ['echo'], slots = 2, rate = 0, host = 'alpha', load_ms = 0, type, prefer } = this.shape
    const list = async (): Promise<ModelEntry[]> =>
      models.map(name => ({ name, size: this.shape.size ?? 1, path: `/${name}.gguf`, architecture: 'echo' }))
    this.worker = createWorker({
      name: 'worker-0000',
      version: '0.0.0',
      owner,
      store: { root: dir(new Map(), owner), list } as unknown as ModelStore,
      open: async (model, settings) => {
        if (!models.includes(model)) throw fail('notFound', `model ${model}`)
        if (load_ms) await sleep(load_ms)
        const echo = createEchoEngine({ ...settings, rate })
        const engine = { ...echo, model: { ...echo.model, name: model, digest: `echo:${model}` } }
        return this.shape.engine?.(model, engine) ?? engine
      },
      slots,
      shutdown: () => undefined,
      id: this.id,
      host,
      host_id: `host-${host}`,
      ...(type !== undefined && { type }),
      ...(prefer !== undefined && { prefer }),
    })
    const load = this.shape.load ?? models[0]
    if (load) await this.worker.load(load)
    this.join()
  }

  /** Connects, or connects again. */
  join(): void {
    const [near, far] = transportPair()
    this.#near = near
    this.session = serve(far, {
      attachOptions: joinedOptions,
      attach: ({ uname, n_uname, options }) => ({
        root: joinedRoot(this.worker.root, digestOf(this.id), owner, options),
        user: { name: uname, uid: n_uname, role: (options.get('role') ?? 'use') as User['role'] },
      }),
      onfail: this.worker.failed,
      onwrite: this.worker.succeeded,
    })
    void this.cluster.join(near)
  }

  /** Breaks the connection; the worker itself lives on. */
  cut(): void {
    this.#near?.destroy(new Error('cut'))
  }

  async kill(): Promise<void> {
    this.cut()
    await this.worker.close()
  }
}

export class Rig {
  readonly members: Member[] = []

  constructor(
    readonly t: Test,
    readonly cluster: Orchestrator,
  ) {}

  async add(shape: Shape = {}): Promise<Member> {
    const member = new Member(this.cluster, shape, `id-${this.members.length + 1}`)
    this.members.push(member)
    await member.start()
    return member
  }

  /** Attaches as a user; `root` is the admin. */
  async as(name: string): Promise<Tree> {
    const [near, far] = transportPair()
    const user: User = { name, uid: name === 'root' ? 0 : 1000, role: name === 'root' ? 'admin' : 'use' }
    serve(far, {
      attach: () => ({ root: this.cluster.root, user }),
      onfail: this.cluster.failed,
      onwrite: this.cluster.succeeded,
    })
    const client = await Client.connect(near)
    this.t.teardown(() => client.close())
    return new Tree(await client.attach({ uname: name }))
  }

  /** The cluster's status as records. */
  async status(): Promise<{ word: string; attrs: Record<string, string> }[]> {
    return parseRecords(await (await this.as('root')).read('status'))
  }

  /** Waits until this many workers are ready for prompts. */
  async ready(n = this.members.length): Promise<void> {
    const root = await this.as('root')
    await until(async () => {
      const workers = parseRecords(await root.read('status')).filter(({ word }) => word === 'worker')
      return workers.filter(({ attrs }) => attrs.state === 'idle' || attrs.state === 'busy').length === n
    })
  }
}

/** Waits until a condition holds. If it never does, the time limit of the test ends the wait. */
export async function until(is: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await is())) await sleep(5)
}

/** A cluster in this process, with a worker of each shape. */
export async function rig(t: Test, shapes: readonly Shape[], options: Partial<OrchestratorOptions> = {}): Promise<Rig> {
  const cluster = createOrchestrator({
    name: 'test',
    version: '0.0.0',
    owner,
    host: 'alpha',
    shutdown: () => undefined,
    ...options,
  })
  const out = new Rig(t, cluster)
  t.teardown(async () => {
    await cluster.close()
    await Promise.all(out.members.map(member => member.worker.close()))
  })
  for (const shape of shapes) await out.add(shape)
  await out.ready()
  return out
}

/** Makes a cluster join another one as a worker. */
export function joins(below: Rig, above: Rig): Connection {
  const [near, far] = transportPair()
  const session = serve(far, {
    attachOptions: ['role'],
    attach: ({ uname, n_uname, options }) => ({
      root: below.cluster.root,
      user: { name: uname, uid: n_uname, role: (options.get('role') ?? 'use') as User['role'] },
    }),
  })
  void above.cluster.join(near)
  return session
}

/** A store in memory. Its files can be given to the next orchestrator. */
export function memoryStore(files = new Map<string, string>()): Store {
  return {
    read: name => files.get(name),
    write: async (name, text) => void files.set(name, text),
    append: async (name, text) => void files.set(name, files.get(name)! + text),
    remove: async name => void files.delete(name),
    list: () => [...files.keys()],
    setAside(name) {
      files.set(`${name}.damaged`, files.get(name) ?? '')
      files.delete(name)
    },
  }
}

/** A request of one message. */
export const say = (content: string) => ({ messages: [{ role: 'user', content }] })
/** The text in the events of a `generate`, and the ids of its tokens. */
export const text = (events: Record<string, unknown>[]) => events.map(({ text }) => text ?? '').join('')
export const ids = (events: Record<string, unknown>[]) => events.flatMap(({ ids }) => (ids as number[]) ?? [])

/** The events of this kind so far. */
export async function events(cluster: Pick<Rig, 'as'>, kind: string): Promise<Record<string, string>[]> {
  const fid = await (await cluster.as('root')).open('event', 0)
  const records = parseRecords(Buffer.from(await fid.read(0, 65536)).toString())
  return records.map(({ attrs }) => attrs).filter(attrs => attrs.kind === kind)
}
