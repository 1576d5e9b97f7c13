/** Checks a simulated cluster from outside: reads its status each second, follows its events, and writes to its ctl. */

import type { FsError } from '../../api/errors.js'
import { sleep } from '../../fs/base/clock.js'
import { parseRecords } from '../../fs/base/quote.js'
import { Client, type Fid } from '../../fs/client/client.js'
import { OREAD } from '../../fs/wire/protocol.js'
import { Wrong } from './check.js'
import type { Process } from './clock.js'
import { type Cluster, DOOR } from './cluster.js'
import { owner } from './worker.js'

/** How long a read of the status may take, whatever the workers do, in virtual ms. */
const ANSWER_MS = 2_000
/** How long a worker that is gone may still be shown: five unanswered heartbeats of 3 s, and the time to see that. */
const GONE_MS = 20_000
/** How many requests may wait. */
const QUEUE = 512

/** The time between two reads of the status. */
const PERIOD_MS = 1_000

const decoder = new TextDecoder()
type Attrs = Readonly<Record<string, string>>

/** Attaches as the owner of the server. */
export class Observer {
  /** The records of the last status. */
  server: Attrs = {}
  workers: readonly Attrs[] = []
  /** The number of events, by kind. */
  readonly kinds = new Map<string, number>()
  #root: Promise<Fid> | undefined
  #asked: number | undefined
  #seq = 0

  constructor(
    readonly cluster: Cluster,
    readonly process: Process,
  ) {}

  start(): void {
    const again = (work: () => Promise<void>) => {
      work().catch(error => {
        // because of a fault of this run the orchestrator may be gone for a while
        this.cluster.note(`observer: ${error.message}`)
        if (error instanceof Wrong) this.process.time.fail(error)
        else sleep(this.process, 1000).then(() => again(work))
      })
    }
    again(() => this.#look())
    again(() => this.#follow())
  }

  /** Writes a line to ctl. The worker that it names may be gone by then. */
  command(line: string): void {
    const write = async () => (await this.#tree()).writeFile('ctl', `${line}\n`)
    write().catch((error: FsError) => this.cluster.note(`ctl ${line}: ${error.message}`))
  }

  /** Why the cluster is not whole; undefined if it is. */
  missing(): string | undefined {
    for (const worker of this.cluster.expected()) {
      if (!worker.process) return `${worker.id} is not running: ${worker.state}`
      const shown = this.workers.filter(({ id }) => id === worker.id)
      if (shown.length !== 1) return `${worker.process.name} is shown ${shown.length} times`
      if (shown[0]!.state !== 'idle') return `${worker.process.name} is ${shown[0]!.state}`
    }
    return undefined
  }

  #tree(): Promise<Fid> {
    this.#root ??= this.#attach().catch(error => {
      this.#root = undefined
      throw error
    })
    return this.#root
  }

  async #attach(): Promise<Fid> {
    const client = await Client.connect(await this.cluster.net.dial(this.process, DOOR), { clock: this.process })
    const forget = () => {
      this.#root = undefined
    }
    client.closed.then(forget)
    return client.attach({ uname: owner.name, n_uname: owner.uid })
  }

  async #look(): Promise<void> {
    for (;;) {
      const { time } = this.process
      const asked = (this.#asked = time.now)
      const late = () => {
        const { orchestrator } = this.cluster
        if (this.#asked !== asked || !orchestrator.alive || orchestrator.paused) return
        if (orchestrator.awake + ANSWER_MS > time.now) time.at(orchestrator.awake + ANSWER_MS, late)
        else time.fail(new Wrong(`status was not answered within ${ANSWER_MS} ms`))
      }
      time.at(asked + ANSWER_MS, late)
      const text = decoder.decode(await (await this.#tree()).readFile('status'))
      this.#asked = undefined
      this.#check(text)
      await sleep(this.process, PERIOD_MS)
    }
  }

  #check(text: string): void {
    const records = parseRecords(text)
    this.server = records.find(({ word }) => word === 'server')!.attrs
    this.workers = records.filter(({ word }) => word === 'worker').map(({ attrs }) => attrs)
    const wrong = (why: string) => new Wrong(`status: ${why}\n${text}`)
    if (Number(this.server.queue) > QUEUE) throw wrong('the queue is too long')
    const names = new Set(this.workers.map(({ name }) => name))
    if (names.size < this.workers.length) throw wrong('two workers of one name')
    const { now } = this.process.time
    for (const worker of this.workers) {
      if (Number(worker.active) > Number(worker.slots)) throw wrong(`${worker.name} has more than its slots`)
      // an exchange whose connection was lost may still take a slot on its worker
      if (this.cluster.calm && Number(worker.queue) > 0) throw wrong(`${worker.name} was given more than it has slots`)
      const left = this.cluster.left.get(worker.id!)
      if (worker.state !== 'dead' && left !== undefined && now - left > GONE_MS)
        throw wrong(`${worker.name} has been gone for ${Math.round((now - left) / 1000)} s`)
    }
  }

  /** Follows the events, which must be numbered without gaps. */
  async #follow(): Promise<void> {
    this.#seq = 0
    const fid = await (await (await this.#tree()).walk(['event'])).open(OREAD)
    let rest = ''
    for (let at = 0; ; ) {
      const piece = await fid.read(at, 8192)
      at += piece.length
      const lines = (rest + decoder.decode(piece, { stream: true })).split('\n')
      rest = lines.pop()!
      for (const line of lines) this.#event(line)
    }
  }

  #event(line: string): void {
    const { attrs } = parseRecords(line)[0]!
    const seq = Number(attrs.seq)
    if (this.#seq > 0 && seq !== this.#seq + 1) throw new Wrong(`event ${seq} after ${this.#seq}: ${line}`)
    this.#seq = seq
    this.kinds.set(attrs.kind!, (this.kinds.get(attrs.kind!) ?? 0) + 1)
    // the time in an event is the orchestrator's wall clock, which jumps
    this.cluster.note(`event ${line.replace(/time=\S+ /, '')}`)
  }

  /** What is left of the clients after all of them have gone; undefined if nothing is. A heartbeat may be under way. */
  left(): string | undefined {
    const { sessions, workers } = this.cluster
    if (sessions.size > 1) return `connections are served: ${[...sessions].map(({ transport }) => transport.name)}`
    if (Number(this.server.active) > 0) return `${this.server.active} exchanges run`
    if (Number(this.server.queue) > 0) return `${this.server.queue} exchanges wait`
    for (const { process, generating, sessions } of workers) {
      if (generating > 0) return `${process.name} makes ${generating} answers`
      if (sessions.size !== 1) return `${process.name} has ${sessions.size} connections`
      const fids = [...[...sessions][0]!.fids.values()].filter(({ opened }) => opened !== undefined)
      const open = fids.map(({ place }) => place!.name)
      // the fid of the last heartbeat is clunked by the next one
      if (open.join() !== 'status' && open.length > 0) return `open at ${process.name}: ${open}`
    }
    return undefined
  }
}
