/** Jobs: commands that run in the background. */

import { aborted } from '../fs/base/interruptible.js'
import { record } from '../fs/base/quote.js'

/** A command that runs while other commands are typed. */
export interface Job {
  readonly id: number
  readonly text: string
  readonly stop: AbortController
  /** Undefined while it runs, then its status. */
  status: string | undefined
  ended: Promise<void>
}

/** How many jobs that have ended are remembered. */
const KEPT = 100

/** The jobs of one shell. */
export class Jobs {
  readonly #jobs = new Map<number, Job>()
  #last = 0

  /** @param told is called with a line when a job ends */
  constructor(readonly told: (line: string) => void = () => undefined) {}

  /** Starts a job. @param run resolves with the job's status when it ends; never rejects */
  start(text: string, run: (signal: AbortSignal) => Promise<string>): Job {
    const stop = new AbortController()
    const job: Job = { id: ++this.#last, text, stop, status: undefined, ended: Promise.resolve() }
    this.#jobs.set(job.id, job)
    job.ended = run(stop.signal).then(status => {
      job.status = status
      this.told(`job ${job.id}: ${status === '' ? 'done' : status}: ${text}`)
      const over = [...this.#jobs.values()].filter(({ status }) => status !== undefined)
      for (const { id } of over.slice(0, Math.max(0, over.length - KEPT))) this.#jobs.delete(id)
    })
    return job
  }

  get(id: number): Job | undefined {
    return this.#jobs.get(id)
  }

  get running(): Job[] {
    return [...this.#jobs.values()].filter(({ status }) => status === undefined)
  }

  /** One record for each job. */
  text(): string {
    return [...this.#jobs.values()]
      .map(({ id, status, text }) => {
        const state = status === undefined ? 'running' : status === '' ? 'done' : 'failed'
        return `${record('job', { id, state, ...(status && { status }), command: text })}\n`
      })
      .join('')
  }

  /**
   * Waits until no job runs any more, or the signal aborts. A script's jobs live in its process, and their output is
   * part of the script's.
   */
  async over(signal: AbortSignal): Promise<void> {
    const over = aborted(signal)
    while (this.running.length > 0 && !signal.aborted)
      await Promise.race([Promise.all(this.running.map(({ ended }) => ended)), over])
  }

  /** Stops all jobs, and waits until they have ended. */
  async stop(): Promise<void> {
    const { running } = this
    for (const { stop } of running) stop.abort(new Error('stopped'))
    await Promise.all(running.map(({ ended }) => ended))
  }
}
