/** One worker of a host, as the supervisor keeps it. */
import type { ExitAttributes } from '../../api/exit.js'
import type { Clock } from '../../fs/clock.js'
import type { Value } from '../../fs/quote.js'
import type { WorkerClass } from '../class.js'
import { hexId } from '../id.js'
import { type Cause, Kept } from './kept.js'
import type { Exit, SpawnSpec, Upstream, WorkerProcess, WorkerRecord } from './process.js'

export type { Cause } from './kept.js'

export interface Supervision {
  clock: Clock
  /** 0 to 1, as Math.random. */
  random: () => number
  spawn(spec: SpawnSpec): WorkerProcess
  upstream: Upstream
  /** The host's. */
  host_id: string
  told(kind: string, attrs: Record<string, Value | undefined>): void
  /** Called whenever one has been started or has ended. */
  changed(): void
  /** @throws why one more of that class must not be started now */
  admit(of: WorkerClass): void
  /** Whether the kernel has ended a process for want of memory since this was asked last: the limit in words; else undefined. */
  outOfMemory?(): string | undefined
}

/** One worker of a host: a process, and after a crash another. */
export class Supervised {
  boot = ''
  readonly #kept: Kept
  /** Whether we ended the process ourselves. */
  #killed: string | undefined
  #hold: string | undefined

  constructor(
    readonly id: string,
    readonly of: WorkerClass,
    readonly by: Supervision,
    /** What each of its processes shows where it joins. */
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

  /** Why the process before this one ended. */
  get said(): string | undefined {
    return this.#kept.said
  }

  get gone(): Promise<void> {
    return this.#kept.gone
  }

  get pid(): number | undefined {
    return this.#kept.child?.pid
  }

  /** The model that its next process loads first: a name or a path, or `none`; undefined: its class's. */
  get hold(): string | undefined {
    return this.#hold
  }

  set hold(model: string | undefined) {
    if (model === this.#hold) return
    this.#hold = model
    this.by.changed()
  }

  /** What a successor of this host needs to find it; undefined while there is no process. */
  get record(): WorkerRecord | undefined {
    const { pid, born } = this.#kept.child ?? {}
    return pid === undefined
      ? undefined
      : { pid, born, id: this.id, boot: this.boot, class: this.of, hold: this.#hold, secret: this.secret }
  }

  start(): void {
    this.#kept.start()
  }

  /** Goes on with the process that an earlier host started. */
  adopt(process: WorkerProcess, boot: string): void {
    this.boot = boot
    this.by.told('worker-adopted', { id: this.id, boot, pid: process.pid, class: this.of.name })
    this.#kept.adopt(this.#explained(process))
  }

  /** Asks the process to end, kills it after `grace_ms`, and does not start it again. */
  stop(grace_ms: number): Promise<void> {
    return this.#kept.stop(grace_ms)
  }

  /** Ends the process at once: one that hangs hears nothing else. It is started again, unless it was being stopped. */
  kill(): void {
    this.#killed = 'its cluster had it ended'
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

  /** The process, whose end by SIGKILL says why as far as that can be known: nothing else does. */
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
    // the model may be what ended it: the next process begins with its class's
    if (this.#kept.state === 'starting') this.#hold = undefined
    if (!began) return this.by.told('spawn-refused', { class: of.name, error: said, id })
    const exit = {
      id,
      boot,
      code: code ?? undefined,
      signal: signal ?? undefined,
      cause,
      class: of.name,
      error: cause === 'stopped' ? undefined : said,
    } satisfies ExitAttributes
    this.by.told('worker-exited', exit)
  }
}
