/** The supervisor of a child process, whether a worker or a mount. */
import { backoff } from '../../fs/base/backoff.js'
import type { Cancel, Clock } from '../../fs/base/clock.js'
import type { Child, Exit } from './process.js'

/** Pauses before a child is started again. */
const PAUSES = { first_ms: 500, longest_ms: 300_000 }
/** A child that lived this long, in ms, had started well: its crashes are counted from zero again. */
const GOOD_MS = 60_000
/** How often a child is asked whether it responds, in ms. */
const ASK_MS = 5_000
/**
 * A child that leaves this many questions in a row unanswered is considered hung: 30 s. A model that is loading or
 * answering does not block the event loop that answers them; only a machine that is far too busy makes the answer late.
 */
const SILENT = 6

/** Signals that end a process through a fault of its own. Any other signal was sent by somebody. */
const faults = new Set(['SIGABRT', 'SIGSEGV', 'SIGBUS', 'SIGILL', 'SIGFPE', 'SIGTRAP', 'SIGSYS'])

/** Why a child ended. */
export type Cause = 'stopped' | 'killed' | 'crashed'

export interface KeptOptions {
  clock: Clock
  /** Returns 0 to 1, as Math.random does. */
  random: () => number
  /** Starts the process. Called again after each crash; it tells the new process what to load. */
  start(): Child
  /** Called before a restart. @throws the reason why the child must not be started now */
  admit?(): void
  /** @param began whether there was a process at all */
  exited(exit: Exit, cause: Cause, began: boolean): void
  /** Called when a restart is scheduled in `wait_s` seconds; `crashes` counts the crashes in a row. */
  paused(wait_s: number, crashes: number): void
  refused?(error: Error): void
  /** Called when the child has not responded for that many seconds and is about to be killed. */
  hung(silent_s: number): void
  /** Called when a process has started, or has ended. */
  changed?(): void
}

/**
 * Keeps one child running: after each crash it starts another process. The pauses grow to 300 s and are random (full
 * jitter), so that a child that cannot live costs little, and many of them on one machine do not restart in step. A
 * child that can be asked is asked every 5 s, and killed if it is alive but does not answer.
 */
export class Kept {
  state: 'starting' | 'running' | 'backoff' | 'stopping' = 'starting'
  restarts = 0
  /** Why the previous process ended: its last line, or what killed it. */
  said: string | undefined
  /** Resolves when the child has ended and will not be started again. */
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

  /** Takes over a process that is already running. */
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

  /**
   * Asks the process to end, kills it after `grace_ms`, and does not start it again. If called again, the last
   * `grace_ms` counts.
   */
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

  /** Kills the process. It is started again, unless it was being stopped. */
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
      // if our own timer is late, the machine was suspended or is far too busy; that says nothing about the child
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
    const pause = Math.ceil(backoff(this.#crashes++, PAUSES, random))
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
      // no process lived in the meantime
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
