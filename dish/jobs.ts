import { record } from '../fs/quote.js'

/** A command that runs beside what is typed. */
export interface Job {
  readonly id: number
  readonly text: string
  readonly stop: AbortController
  /** Undefined while it runs, then its status. */
  status: string | undefined
  ended: Promise<void>
}

/** Jobs that have ended and are remembered. */
const KEPT = 100

/** The jobs of one shell. */
export class Jobs {
  readonly #jobs = new Map<number, Job>()
  #last = 0

  /** @param told gets a line when a job ends */
  constructor(readonly told: (line: string) => void = () => undefined) {}

  /** @param run resolves with the job's status when it is over; never rejects */
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

  /** A record a job. */
  text(): string {
    return [...this.#jobs.values()]
      .map(({ id, status, text }) => {
        const state = status === undefined ? 'running' : status === '' ? 'done' : 'failed'
        return `${record('job', { id, state, ...(status && { status }), command: text })}\n`
      })
      .join('')
  }

  /** Waits until none runs any more, or the signal aborts: a script's jobs live in its process, and are its output as well. */
  async over(signal: AbortSignal): Promise<void> {
    const aborted = new Promise<void>(resolve => signal.addEventListener('abort', () => resolve(), { once: true }))
    while (this.running.length > 0 && !signal.aborted)
      await Promise.race([Promise.all(this.running.map(({ ended }) => ended)), aborted])
  }

  /** Stops all and waits for them. */
  async stop(): Promise<void> {
    const { running } = this
    for (const { stop } of running) stop.abort(new Error('stopped'))
    await Promise.all(running.map(({ ended }) => ended))
  }
}
