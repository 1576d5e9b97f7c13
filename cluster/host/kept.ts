/** The one supervisor of every child process: a worker, a mount. */
import type { Cancel, Clock } from '../../fs/clock.js'
import type { Child, Exit } from './process.js'

/** The first pause before a child is started again is up to this, in ms; each that follows up to twice as long. */
const FIRST_PAUSE_MS = 500
const LONGEST_PAUSE_MS = 300_000
/** One that lived this long, in ms, had started well: its crashes are counted from the beginning. */
const GOOD_MS = 60_000
/** How often a child is asked whether it is there, in ms. */
const ASK_MS = 5_000
/**
 * Times in a row that it may leave the question open before it is taken for hung: 30 s. A model that loads or answers does not
 * block the loop that answers this, and only a machine that is far too busy makes it late.
 */
const SILENT = 6

/** Signals that a process ends by through a fault of its own; all others somebody sent. */
const faults = new Set(['SIGABRT', 'SIGSEGV', 'SIGBUS', 'SIGILL', 'SIGFPE', 'SIGTRAP', 'SIGSYS'])

/** Why a child ended. */
export type Cause = 'stopped' | 'killed' | 'crashed'

export interface KeptOptions {
  clock: Clock
  /** 0 to 1, as Math.random. */
  random: () => number
  /** Starts the process; it is called again after each crash, and tells the new process what it should hold. */
  start(): Child
  /** @throws why it must not be started again now */
  admit?(): void
  /** @param began whether there was a process at all */
  exited(exit: Exit, cause: Cause, began: boolean): void
  /** It is started again in `wait_s`; `crashes` counts those in a row. */
  paused(wait_s: number, crashes: number): void
  refused?(error: Error): void
  /** It has answered nothing for so long, in s, and is ended. */
  hung(silent_s: number): void
  /** A process is there, or is gone. */
  changed?(): void
}

/**
 * Keeps one child running: a process, and after a crash another, with pauses that grow to 300 s and are drawn at random each time
 * (full jitter), so that what cannot live costs little and a machine full of it does not beat in time. A child that can be
 * asked is asked every 5 s, and one that lives and does not answer is ended.
 */
export class Kept {
  state: 'starting' | 'running' | 'backoff' | 'stopping' = 'starting'
  restarts = 0
  /** Why the process before this one ended: what it said last, or was ended by. */
  said: string | undefined
  /** Resolves when it has ended and will not be started again. */
  readonly gone: Promise<void>
  #gone!: () => void
  #child: Child | undefined
  #began = 0
  #crashes = 0
  /** Ends a pause, or the wait for a process that was asked to end. */
  #cancel: Cancel = () => undefined
  #asking: Cancel = () => undefined

  constructor(readonly o: KeptOptions) {
    this.gone = new Promise(resolve => {
      this.#gone = resolve
    })
  }

  /** The process, while there is one. */
  get child(): Child | undefined {
    return this.#child
  }

  start(): void {
    try {
      this.adopt(this.o.start())
    } catch (error) {
      const exited = Promise.resolve({ code: null, signal: null, said: (error as Error).message })
      this.adopt({ pid: undefined, exited, kill: () => undefined })
    }
  }

  /** Goes on with a process that is there. */
  adopt(child: Child): void {
    this.#child = child
    this.#began = this.o.clock.now()
    this.state = child.ready ? 'starting' : 'running'
    child.ready?.then(
      () => {
        if (this.#child === child && this.state === 'starting') this.state = 'running'
      },
      () => undefined, // its exit says why
    )
    void child.exited.then(exit => this.#exited(exit, child.pid !== undefined))
    if (child.ask) this.#ask(child, child.ask)
    this.o.changed?.()
  }

  /** Asks the process to end, kills it after `grace_ms`, and does not start it again. The last call says how long. */
  stop(grace_ms: number): Promise<void> {
    this.#cancel()
    if (!this.#child) this.#finish()
    else {
      if (this.state !== 'stopping') this.#child.kill('SIGTERM')
      this.state = 'stopping'
      this.#cancel = this.o.clock.after(grace_ms, () => this.#child?.kill('SIGKILL'))
    }
    return this.gone
  }

  /** Ends the process at once. It is started again, unless it was being stopped. */
  kill(): void {
    this.#child?.kill('SIGKILL')
  }

  #ask(child: Child, ask: () => Promise<void>): void {
    const { clock } = this.o
    let open = false
    let silent = 0
    let last = clock.now()
    const turn = () => {
      const now = clock.now()
      // where our own timer is late, the machine slept or is far too busy: that says nothing of the child
      const slept = now - last > 2 * ASK_MS
      last = now
      if (!open) {
        open = true
        silent = 0
        void ask().then(() => {
          open = false
        })
      } else if (!slept && ++silent >= SILENT && this.state !== 'stopping') {
        this.o.hung((SILENT * ASK_MS) / 1000)
        return child.kill('SIGKILL')
      }
      this.#asking = clock.after(ASK_MS, turn, true)
    }
    this.#asking = clock.after(ASK_MS, turn, true)
  }

  #exited(exit: Exit, began: boolean): void {
    const { code, signal, said } = exit
    this.#cancel()
    this.#asking()
    this.#child = undefined
    this.said = said
    const cause: Cause =
      this.state === 'stopping' || code === 0 ? 'stopped' : signal && !faults.has(signal) ? 'killed' : 'crashed'
    this.o.exited(exit, cause, began)
    if (cause === 'stopped') this.#finish()
    else this.#backOff()
    this.o.changed?.()
  }

  #backOff(): void {
    const { clock, random } = this.o
    if (clock.now() - this.#began >= GOOD_MS) this.#crashes = 0
    const ceiling = Math.min(FIRST_PAUSE_MS * 2 ** this.#crashes++, LONGEST_PAUSE_MS)
    const pause = Math.ceil(random() * ceiling)
    this.state = 'backoff'
    this.o.paused(pause / 1000, this.#crashes)
    this.#cancel = clock.after(pause, () => this.#again())
  }

  #again(): void {
    try {
      this.o.admit?.()
    } catch (error) {
      this.said = (error as Error).message
      this.o.refused?.(error as Error)
      // nothing lived meanwhile
      this.#began = this.o.clock.now()
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
