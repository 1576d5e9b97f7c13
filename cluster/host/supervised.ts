/** One supervised worker of a host. */
import type { Tell } from '../../api/events.js'
import type { Clock } from '../../fs/base/clock.js'
import type { WorkerClass } from '../class.js'
import { hexId } from '../id.js'
import { type Cause, Kept } from './kept.js'
import type { Exit, SpawnSpec, Upstream, WorkerProcess, WorkerRecord } from './process.js'

export type { Cause } from './kept.js'

export interface Supervision {
  clock: Clock
  /** Returns 0 to 1, as Math.random does. */
  random: () => number
  spawn(spec: SpawnSpec): WorkerProcess
  upstream: Upstream
  /** The id of the host. */
  host_id: string
  told: Tell
  /** Called whenever a worker has been started or has ended. */
  changed(): void
  /** @throws the reason why one more worker of that class must not be started now */
  admit(of: WorkerClass): void
  /**
   * Returns the memory limit in words if the kernel has killed a process for lack of memory since the last call;
   * otherwise undefined.
   */
  outOfMemory?(): string | undefined
}

/** One worker of a host: a process, and after each crash another one. */
export class Supervised {
  boot = ''
  readonly #kept: Kept
  /** Why we killed the process, if we did. */
  #killed: string | undefined
  #hold: string | undefined

  constructor(
    readonly id: string,
    readonly of: WorkerClass,
    readonly by: Supervision,
    /** Proves, where its processes join, that they are this worker. */
    readonly secret: string,
  ) {
    this.#kept = new Kept({
      clock: by.clock,
      random: by.random,
      start: () => this.#spawn(),
      admit: () => by.admit(of),
      exited: (exit, cause, began) => this.#exited(exit, cause, began),
      paused: (wait_s, crashes) => by.told('worker-backoff', { id, boot: this.boot, wait_s, crashes }),
      refused: ({ message }) => by.told('spawn-refused', { class: of.name, error: message, id }),
      hung: silent_s => {
        this.#killed = `no answer for ${silent_s} s`
        by.told('worker-hung', { id, boot: this.boot, class: of.name, error: this.#killed })
      },
      changed: () => by.changed(),
    })
  }

  get state(): Kept['state'] {
    return this.#kept.state
  }

  get restarts(): number {
    return this.#kept.restarts
  }

  /** Why the previous process ended. */
  get said(): string | undefined {
    return this.#kept.said
  }

  get gone(): Promise<void> {
    return this.#kept.gone
  }

  get pid(): number | undefined {
    return this.#kept.child?.pid
  }

  /** The model that its next process loads first: a name or a path, or `none`; undefined: the model of its class. */
  get hold(): string | undefined {
    return this.#hold
  }

  set hold(model: string | undefined) {
    if (model === this.#hold) return
    this.#hold = model
    this.by.changed()
  }

  /** What the next host needs to find the worker; undefined while there is no process. */
  get record(): WorkerRecord | undefined {
    const { pid, born } = this.#kept.child ?? {}
    return pid === undefined
      ? undefined
      : { pid, born, id: this.id, boot: this.boot, class: this.of, hold: this.#hold, secret: this.secret }
  }

  start(): void {
    this.#kept.start()
  }

  /** Takes over the process that an earlier host started. */
  adopt(process: WorkerProcess, boot: string): void {
    this.boot = boot
    this.by.told('worker-adopted', { id: this.id, boot, pid: process.pid, class: this.of.name })
    this.#kept.adopt(this.#explained(process))
  }

  /** Asks the process to end, kills it after `grace_ms`, and does not start it again. */
  stop(grace_ms: number): Promise<void> {
    return this.#kept.stop(grace_ms)
  }

  /**
   * Kills the process: a hung process does not react to anything else. It is started again, unless it was being
   * stopped.
   */
  kill(): void {
    this.#killed = 'its cluster killed it'
    this.#kept.kill()
  }

  #spawn(): WorkerProcess {
    this.boot = hexId(this.by.random, 8)
    this.#killed = undefined
    const { id, boot, of, hold, secret } = this
    const { upstream, host_id } = this.by
    const process = this.by.spawn({ id, boot, class: of, hold, host_id, upstream, secret })
    if (process.pid !== undefined) this.by.told('worker-started', { id, boot, pid: process.pid, class: of.name })
    return this.#explained(process)
  }

  /** Wraps the process so that an exit by SIGKILL says why, as far as that is known. Nothing else says it. */
  #explained(process: WorkerProcess): WorkerProcess {
    const explain = (exit: Exit): Exit => {
      if (exit.signal !== 'SIGKILL') return exit
      const why = this.#killed ?? this.by.outOfMemory?.()
      return { ...exit, said: `ended by SIGKILL${why ? `: ${why}` : ''}` }
    }
    const { pid, born, ready, ask } = process
    return {
      pid,
      born,
      ...(ready && { ready }),
      ...(ask && { ask }),
      exited: process.exited.then(explain),
      kill: signal => process.kill(signal),
    }
  }

  #exited({ code, signal, said }: Exit, cause: Cause, began: boolean): void {
    const { id, boot, of } = this
    // the model may be what ended it, so the next process starts with the model of its class
    if (this.#kept.state === 'starting') this.#hold = undefined
    if (!began) return this.by.told('spawn-refused', { class: of.name, error: said, id })
    this.by.told('worker-exited', {
      id,
      boot,
      code: code ?? undefined,
      signal: signal ?? undefined,
      cause,
      class: of.name,
      error: cause === 'stopped' ? undefined : said,
    })
  }
}
