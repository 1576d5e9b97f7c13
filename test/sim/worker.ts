/** A simulated worker: the real worker, in a simulated process. */
import type { GenerateRequest } from '../../api/request.js'
import type { Exit, SpawnSpec, WorkerProcess } from '../../cluster/host/process.js'
import { joinedOptions, joinedRoot, keepJoined } from '../../cluster/joining.js'
import { finish } from '../../cluster/leaving.js'
import { createEchoEngine } from '../../cluster/worker/engine/echo.js'
import type { Engine, TokenChunk } from '../../cluster/worker/engine/engine.js'
import type { Machine } from '../../cluster/worker/hardware.js'
import type { ModelStore } from '../../cluster/worker/models.js'
import { createWorker, type Worker } from '../../cluster/worker/worker.js'
import { sleep } from '../../fs/base/clock.js'
import type { File, User } from '../../fs/file.js'
import { dir } from '../../fs/kit/dir.js'
import { type Connection, serve } from '../../fs/server/server.js'
import type { Process } from './clock.js'
import type { Net } from './net.js'
import type { Random } from './random.js'

export const owner = { name: 'llambo', uid: 1000 }

/** No machine has model files: an engine is its own model. */
const noModels = { root: dir(new Map(), owner), list: async () => [] } as unknown as ModelStore

/** How long a worker lives without a cluster, in ms, as the real process does (ctl/server/worker-process.ts). */
const ORPHAN_MS = 60_000
/** How long after the end of a process its parent hears of it, in ms. */
const EXIT_MS = 2

const GiB = 1024 ** 3

export const machine: Machine = {
  cpu: 'avx2',
  gpu: 'none',
  gpu_mem: 0,
  cores: 8,
  memory: () => ({ total: 64 * GiB, free: 32 * GiB }),
}

/** The properties of a worker that are drawn. */
export interface Temper {
  /** Tokens a second of each answer. */
  rate: number
  first_token_ms: number
  /** How long its model takes to load. */
  load_ms: number
}

/** Does what the process of a real worker does, without the process. */
export class SimWorker implements WorkerProcess {
  readonly pid: number
  readonly worker: Worker
  readonly ready: Promise<void>
  readonly exited: Promise<Exit>
  /** How it ended. */
  exit: Exit | undefined
  /** The connections that it serves. */
  readonly sessions = new Set<Connection>()
  /** `hung`: its engine gives no more tokens. `deaf`: nor does the engine hear that it should stop. */
  hung: false | 'hung' | 'deaf' = false
  /** The requests that its engine is answering. */
  readonly answering = new Set<GenerateRequest>()
  readonly #wake: (() => void)[] = []
  readonly #leaving = new AbortController()
  readonly #exit: (exit: Exit) => void

  /** @param o.lie makes the files that it serves from its own */
  constructor(
    readonly process: Process,
    readonly spec: SpawnSpec,
    readonly parent: () => Process,
    o: { pid: number; net: Net; random: Random; temper: Temper; lie?: ((files: File) => File) | undefined },
  ) {
    const { net, random, temper } = o
    this.pid = o.pid
    let exit: (exit: Exit) => void = () => undefined
    this.exited = new Promise(resolve => {
      exit = resolve
    })
    this.#exit = exit
    this.worker = createWorker({
      name: 'worker-0000',
      version: '0.0.0',
      owner,
      store: noModels,
      open: async (_model, settings, signal) => {
        await sleep(process, temper.load_ms, signal)
        return this.#watched(createEchoEngine({ ...settings, ...temper, clock: process }))
      },
      slots: spec.class.slots,
      shutdown: () => this.#leaving.abort(),
      clock: process,
      random: random.next,
      id: spec.id,
      boot: spec.boot,
      host: process.machine,
      host_id: spec.host_id,
      class: spec.class.name,
      machine,
    })
    const root = o.lie?.(this.worker.root) ?? this.worker.root
    const gone = () => this.#end({ code: 6, signal: null, said: 'no cluster' })
    let orphan = process.after(ORPHAN_MS, gone)
    const ended = new AbortController()
    const joined = keepJoined(
      {
        clock: process,
        random: random.next,
        dial: signal => net.dial(process, spec.upstream.address, signal),
        serve: transport => {
          const session: Connection = serve(transport, {
            attachOptions: joinedOptions,
            attach: ({ uname, n_uname, options }) => {
              orphan()
              this.sessions.add(session)
              const role = (options.get('role') ?? 'use') as User['role']
              return { root: joinedRoot(root, spec.secret, owner, options), user: { name: uname, uid: n_uname, role } }
            },
            onerror: error => process.time.fail(error),
            onfail: this.worker.failed,
            onwrite: this.worker.succeeded,
            clock: process,
          })
          session.closed.then(() => {
            if (this.sessions.delete(session) && this.sessions.size === 0) orphan = process.after(ORPHAN_MS, gone)
          })
          return session
        },
      },
      ended.signal,
    )
    this.ready = this.worker.load('echo').catch(error => {
      if (!this.#leaving.signal.aborted) process.time.fail(error)
    })
    this.#leaving.signal.addEventListener('abort', async () => {
      await finish(this.worker, this.sessions, process)
      ended.abort()
      await this.worker.close()
      await joined
      this.#end({ code: 0, signal: null })
    })
  }

  get id(): string {
    return this.spec.id
  }

  get generating(): number {
    return this.answering.size
  }

  /** The prompts that its engine is answering. */
  get prompts(): string[] {
    return [...this.answering].map(({ messages }) => messages?.at(-1)?.content ?? '')
  }

  kill(signal: string): void {
    if (signal !== 'SIGTERM') return this.#end({ code: null, signal })
    this.process.arrive(() => {
      if (this.#leaving.signal.aborted) this.#end({ code: null, signal })
      else this.#leaving.abort()
    })
  }

  /** Its engine goes on. */
  wake(): void {
    this.hung = false
    for (const call of this.#wake.splice(0)) call()
  }

  #end(exit: Exit): void {
    if (!this.process.alive) return
    this.process.kill()
    this.exit = exit
    const { time } = this.process
    time.at(time.now + EXIT_MS, () => this.parent().arrive(() => this.#exit(exit)))
  }

  /** The engine, with its requests counted, and with the faults that it can have. */
  #watched(engine: Engine): Engine {
    const worker = this
    return {
      ...engine,
      async *generate(request, signal): AsyncGenerator<TokenChunk, void> {
        worker.answering.add(request)
        // a deaf engine does not hear the abort between two tokens either
        const heard = new AbortController()
        const hear = () => worker.hung !== 'deaf' && heard.abort(signal.reason)
        signal.addEventListener('abort', hear, { once: true })
        try {
          for await (const chunk of engine.generate(request, heard.signal)) {
            while (worker.hung) await worker.#stuck(signal)
            signal.throwIfAborted()
            yield chunk
          }
        } finally {
          signal.removeEventListener('abort', hear)
          worker.answering.delete(request)
        }
      },
    }
  }

  async #stuck(signal: AbortSignal): Promise<void> {
    await new Promise<void>(resolve => {
      this.#wake.push(resolve)
      if (this.hung !== 'deaf') signal.addEventListener('abort', () => resolve(), { once: true })
    })
    if (this.hung !== 'deaf') signal.throwIfAborted()
  }
}
