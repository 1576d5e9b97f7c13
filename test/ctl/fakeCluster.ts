/** A fake cluster with the files that `top` reads, for tests of `top`. */
import { rmSync } from 'node:fs'
import { record } from '../../fs/base/quote.js'
import { listen } from '../../fs/dial.js'
import { text } from '../../fs/kit/content.js'
import { ctl, word } from '../../fs/kit/ctl.js'
import { dir } from '../../fs/kit/dir.js'
import { EventLog } from '../../fs/kit/event-log.js'
import { serve } from '../../fs/server/server.js'
import type { Transport } from '../../fs/transport.js'

/** The part of a tap test that is used here. */
interface Test {
  teardown(fn: () => unknown): unknown
}

const owner = { name: 'root', uid: 0 }

/** A server whose files show a cluster of any size and state. It has only the files that `top` reads. */
export class FakeCluster {
  /** The attributes of each worker, by name. */
  readonly workers = new Map<string, Record<string, string | number>>()
  /** The attributes of each task, by number. */
  readonly tasks = new Map<string, Record<string, string | number>>()
  readonly cancelled: string[] = []
  readonly events = new EventLog()
  server: Record<string, string | number> = {
    state: 'idle',
    tok_s: 10234,
    latency_ms: 45,
    util: 0.67,
    queue: 0,
    uptime_s: 11520,
  }
  #listener: { close(): Promise<void> } | undefined
  readonly #transports = new Set<Transport>()

  constructor(
    t: Test,
    readonly path: string,
  ) {
    t.teardown(() => this.close())
  }

  get address(): string {
    return `unix!${this.path}`
  }

  #status(): string {
    const lines = [
      record('server', { name: 'fake', kind: 'cluster', ...this.server }),
      ...[...this.workers].map(([name, attrs]) => record('worker', { name, slots: 4, active: 0, queue: 0, ...attrs })),
    ]
    return `${lines.join('\n')}\n`
  }

  #task(id: string) {
    const files = [
      ['status', text(() => `${record('task', { id, ...this.tasks.get(id) })}\n`, { owner })],
      ['trace', text(() => 'submitted ms=0 user=ann\nrouted ms=4 worker=worker-0001\n', { owner })],
      ['ctl', ctl({ owner, verbs: { cancel: word(() => void this.cancelled.push(id)) }, read: () => '' })],
    ] as const
    return dir(new Map(files), owner)
  }

  async open(): Promise<this> {
    const status = text(() => this.#status(), { owner })
    const worker = dir(new Map([['status', status]]), owner)
    const root = () =>
      dir(
        new Map([
          ['status', status],
          ['events', this.events.file(owner, 0o444)],
          ['event', this.events.stream(owner, 0o444)],
          ['task', dir(new Map([...this.tasks.keys()].map(id => [id, this.#task(id)])), owner)],
          ...[...this.workers.keys()].map(name => [name, worker] as const),
        ]),
        owner,
      )
    this.#listener = await listen(this.address, transport => {
      this.#transports.add(transport)
      const now = { ...root(), walk: (name: string, ctx: never) => root().walk!(name, ctx) }
      serve(transport, { attach: ({ uname }) => ({ root: now, user: { name: uname, uid: 0, role: 'admin' } }) })
    })
    return this
  }

  /** Stops like a server that is killed. */
  async close(): Promise<void> {
    for (const transport of this.#transports) transport.destroy()
    this.#transports.clear()
    await this.#listener?.close()
    this.#listener = undefined
    rmSync(this.path, { force: true })
  }
}
