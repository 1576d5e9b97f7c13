import type { Cancel, Clock } from '../../fs/clock.js'
import type { Value } from '../../fs/quote.js'
import type { WorkerClass } from '../class.js'
import { hexId } from '../id.js'
import type { Exit, SpawnSpec, Upstream, WorkerProcess, WorkerRecord } from './process.js'

/** The first pause before a crashed worker is started again is up to this, in ms; each that follows up to twice as long. */
const FIRST_PAUSE_MS = 500
const LONGEST_PAUSE_MS = 300_000
/** One that lived this long, in ms, had started well: its crashes are counted anew. */
const GOOD_MS = 60_000

/** Signals that a process ends by through a fault of its own; all others somebody sent. */
const faults = new Set(['SIGABRT', 'SIGSEGV', 'SIGBUS', 'SIGILL', 'SIGFPE', 'SIGTRAP', 'SIGSYS'])

/** Why a worker ended. */
export type Cause = 'stopped' | 'killed' | 'crashed'

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
}

/**
 * One worker of a host: a process, and after a crash another, with pauses that grow to 300 s and are drawn anew each time
 * (full jitter), so that what cannot live costs little and a machine full of it does not beat in time.
 */
export class Supervised {
  state: 'starting' | 'running' | 'backoff' | 'stopping' = 'starting'
  boot = ''
  restarts = 0
  /** What the process before this one said last. */
  said: string | undefined
  /** Resolves when it has ended and will not be started again. */
  readonly gone: Promise<void>
  #gone!: () => void
  #process: WorkerProcess | undefined
  #began = 0
  #crashes = 0
  /** Ends a pause, or the wait for a process that was asked to end. */
  #cancel: Cancel = () => undefined

  constructor(
    readonly id: string,
    readonly of: WorkerClass,
    readonly by: Supervision,
    /** What each of its processes shows where it joins. */
    readonly secret: string,
  ) {
    this.gone = new Promise(resolve => {
      this.#gone = resolve
    })
  }

  get pid(): number | undefined {
    return this.#process?.pid
  }

  /** What a successor of this host needs to find it; undefined while there is no process. */
  get record(): WorkerRecord | undefined {
    const { pid, born } = this.#process ?? {}
    return pid === undefined
      ? undefined
      : { pid, born, id: this.id, boot: this.boot, class: this.of, secret: this.secret }
  }

  start(): void {
    this.boot = hexId(this.by.random, 8)
    const { id, boot, of } = this
    const { upstream, host_id } = this.by
    let process: WorkerProcess
    try {
      process = this.by.spawn({ id, boot, class: of, host_id, upstream, secret: this.secret })
    } catch (error) {
      const exited = Promise.resolve({ code: null, signal: null, said: (error as Error).message })
      process = { pid: undefined, exited, kill: () => undefined }
    }
    if (process.pid !== undefined) this.by.told('worker-started', { id, boot, pid: process.pid, class: of.name })
    this.#watch(process)
  }

  /** Goes on with the process that an earlier host started. */
  adopt(process: WorkerProcess, boot: string): void {
    this.boot = boot
    this.by.told('worker-adopted', { id: this.id, boot, pid: process.pid, class: this.of.name })
    this.#watch(process)
  }

  /** Asks the process to end, kills it after `grace_ms`, and does not start it again. */
  stop(grace_ms: number): Promise<void> {
    this.#cancel()
    if (!this.#process) this.#finish()
    else {
      if (this.state !== 'stopping') this.#process.kill('SIGTERM')
      this.state = 'stopping'
      this.#cancel = this.by.clock.after(grace_ms, () => this.#process?.kill('SIGKILL'))
    }
    return this.gone
  }

  /** Ends the process at once: one that hangs hears nothing else. It is started again, unless it was being stopped. */
  kill(): void {
    this.#process?.kill('SIGKILL')
  }

  #watch(process: WorkerProcess): void {
    this.#process = process
    this.#began = this.by.clock.now()
    this.state = process.ready ? 'starting' : 'running'
    void process.ready?.then(() => {
      if (this.#process === process && this.state === 'starting') this.state = 'running'
    })
    void process.exited.then(exit => this.#exited(exit, process.pid !== undefined))
    this.by.changed()
  }

  #exited({ code, signal, said }: Exit, began: boolean): void {
    const { id, boot, of } = this
    this.#cancel()
    this.#process = undefined
    this.said = said
    const cause: Cause =
      this.state === 'stopping' || code === 0 ? 'stopped' : signal && !faults.has(signal) ? 'killed' : 'crashed'
    if (began) {
      const attrs = { id, boot, code: code ?? undefined, signal: signal ?? undefined, cause }
      this.by.told('worker-exited', { ...attrs, class: of.name, error: cause === 'stopped' ? undefined : said })
    } else this.by.told('spawn-refused', { class: of.name, error: said, id })
    if (cause === 'stopped') this.#finish()
    else this.#backOff()
    this.by.changed()
  }

  #backOff(): void {
    const { clock, random } = this.by
    if (clock.now() - this.#began >= GOOD_MS) this.#crashes = 0
    const ceiling = Math.min(FIRST_PAUSE_MS * 2 ** this.#crashes++, LONGEST_PAUSE_MS)
    const pause = Math.ceil(random() * ceiling)
    this.state = 'backoff'
    this.by.told('worker-backoff', { id: this.id, boot: this.boot, wait_s: pause / 1000, crashes: this.#crashes })
    this.#cancel = clock.after(pause, () => this.#again())
  }

  #again(): void {
    try {
      this.by.admit(this.of)
    } catch (error) {
      this.said = (error as Error).message
      this.by.told('spawn-refused', { class: this.of.name, error: this.said, id: this.id })
      // nothing lived meanwhile
      this.#began = this.by.clock.now()
      return this.#backOff()
    }
    this.restarts++
    this.start()
  }

  #finish(): void {
    this.state = 'stopping'
    this.#gone()
  }
}
