import { keepJoined } from '../../cluster/joining.js'
import { createEchoEngine } from '../../cluster/worker/engine/echo.js'
import type { Engine, TokenChunk } from '../../cluster/worker/engine/engine.js'
import type { Machine } from '../../cluster/worker/hardware.js'
import type { ModelStore } from '../../cluster/worker/models.js'
import { createWorker, type Worker } from '../../cluster/worker/worker.js'
import { sleep } from '../../fs/clock.js'
import type { File, User } from '../../fs/file.js'
import { dir } from '../../fs/kit/dir.js'
import { type Session, serve } from '../../fs/server.js'
import type { Process } from './clock.js'
import type { Net } from './net.js'
import type { Random } from './random.js'

export const owner = { name: 'llambo', uid: 1000 }

/** No machine has model files: an engine is its model. */
const noModels = { root: dir(new Map(), owner), list: async () => [] } as unknown as ModelStore

/** How long the answers under way may take when a worker is to end, in ms. */
const DRAIN_MS = 25_000

const GiB = 1024 ** 3

export interface WorkerSpec {
  id: string
  boot: string
  class: string
  slots: number
  /** Tokens a second of each answer. */
  rate: number
  first_token_ms: number
  /** How long its model takes to load. */
  load_ms: number
  /** What it dials to join. */
  upstream: string
}

/** A simulated worker's process: what its real one does (ctl/server), but for the process. */
export class SimWorker {
  readonly worker: Worker
  /** Connections it serves. */
  readonly sessions = new Set<Session>()
  /** Its engine gives no more tokens. */
  hung = false
  /** Hung, it does not even hear that it is to stop. */
  deaf = false
  /** Answers that its engine is asked for, at once, and the most there ever were. */
  generating = 0
  most = 0
  readonly #wake: (() => void)[] = []
  readonly #leaving = new AbortController()

  constructor(
    readonly process: Process,
    readonly spec: WorkerSpec,
    net: Net,
    random: Random,
    /** What it serves in place of its files. */
    lie: (files: File) => File = files => files,
  ) {
    const { slots, rate, first_token_ms, load_ms } = spec
    const machine: Machine = {
      cpu: 'avx2',
      gpu: 'none',
      gpu_mem: 0,
      cores: 4,
      memory: () => ({ total: 16 * GiB, free: 8 * GiB }),
    }
    this.worker = createWorker({
      name: 'worker-0000',
      version: '0.0.0',
      owner,
      store: noModels,
      open: async (_model, settings, signal) => {
        await sleep(process, load_ms, signal)
        return this.#watched(createEchoEngine({ ...settings, rate, first_token_ms, clock: process }))
      },
      slots,
      shutdown: () => this.stop(),
      clock: process,
      random: random.next,
      id: spec.id,
      boot: spec.boot,
      host: process.machine,
      class: spec.class,
      machine,
    })
    const root = lie(this.worker.root)
    const left = new AbortController()
    const joined = keepJoined(
      {
        clock: process,
        random: random.next,
        dial: signal => net.dial(process, spec.upstream, signal),
        serve: transport => {
          const session = serve(transport, {
            attach: who => ({ root, user: parentsUser(who) }),
            onerror: error => process.time.fail(error),
            onfail: this.worker.failed,
            clock: process,
          })
          this.sessions.add(session)
          session.closed.then(() => this.sessions.delete(session))
          return session
        },
      },
      left.signal,
    )
    this.worker.load('echo').catch(error => process.time.fail(error))
    this.#leaving.signal.addEventListener('abort', async () => {
      await Promise.race([this.worker.drain(), sleep(process, DRAIN_MS)])
      left.abort()
      await this.worker.close()
      await joined
      this.onExit?.({ code: 0, signal: null })
      process.kill()
    })
  }

  onExit: ((exit: { code: number | null; signal: string | null }) => void) | undefined

  /** As by SIGTERM. */
  stop(): void {
    this.#leaving.abort()
  }

  /** Its engine goes on. */
  wake(): void {
    this.hung = false
    this.deaf = false
    for (const call of this.#wake.splice(0)) call()
  }

  /** The engine, with what can go wrong with one, and counted. */
  #watched(engine: Engine): Engine {
    const generate = async function* (
      this: SimWorker,
      ...[request, signal]: Parameters<Engine['generate']>
    ): AsyncGenerator<TokenChunk, void> {
      this.most = Math.max(this.most, ++this.generating)
      try {
        for await (const chunk of engine.generate(request, signal)) {
          while (this.hung) {
            await new Promise<void>(resolve => {
              this.#wake.push(resolve)
              if (!this.deaf) signal.addEventListener('abort', () => resolve(), { once: true })
            })
            if (!this.deaf) signal.throwIfAborted()
          }
          yield chunk
        }
      } finally {
        this.generating--
      }
    }
    return { ...engine, generate: (request, signal) => generate.call(this, request, signal) }
  }
}

/** Whom a parent names is believed, and what he may do. */
export function parentsUser(who: { uname: string; n_uname: number; aname: string }): User {
  const [, role = 'use'] = /[?&]role=(read|use|admin)/.exec(who.aname) ?? []
  return { name: who.uname, uid: who.n_uname, role: role as User['role'] }
}
