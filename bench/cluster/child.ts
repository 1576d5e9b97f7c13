/** Child processes of the cluster benchmark, each bound to one core. */

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** The core of the orchestrator alone, and the core that its workers and clients share. */
export const CORE = { orchestrator: 0, others: 1 } as const

/** A program of this folder in a process of its own. It answers each message with one message. */
export class Child<Ask extends object> {
  readonly #process: ChildProcess
  readonly #kill = () => void this.#process.kill('SIGKILL')

  constructor(program: string, core: number = CORE.others) {
    this.#process = fork(fileURLToPath(new URL(`${program}.js`, import.meta.url)), [], {
      execPath: 'taskset',
      execArgv: ['-c', `${core}`, process.execPath],
    })
    process.once('exit', this.#kill)
  }

  get pid(): number {
    return this.#process.pid!
  }

  async ask<Answer>(question: Ask): Promise<Answer> {
    const over = new AbortController()
    const { signal } = over
    const exited = once(this.#process, 'exit', { signal }).then(([code, by]) => {
      throw new Error(`${this.#process.spawnargs.at(-1)} ended: ${by ?? code}`)
    })
    const answered = once(this.#process, 'message', { signal })
    for (const end of [answered, exited]) end.catch(() => undefined)
    this.#process.send(question)
    try {
      const [answer] = await Promise.race([answered, exited])
      if (answer.error) throw new Error(answer.error)
      return answer
    } finally {
      over.abort()
    }
  }

  async stop(): Promise<void> {
    process.off('exit', this.#kill)
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    const exited = once(this.#process, 'exit')
    this.#kill()
    await exited
  }
}

/** In a child: answers each message with the result of `answer`. */
export function answering<Ask>(answer: (question: Ask) => Promise<object>): void {
  process.on('disconnect', () => process.exit())
  process.on('message', async (question: Ask) => {
    process.send!(await answer(question).catch(error => ({ error: `${(error as Error).stack}` })))
  })
}

/** CPU time that a process has used in all its threads, in ms: proc(5), in steps of 10. */
export function cpuOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10
}

export interface Spread {
  p50: number
  p99: number
  most: number
}

/** The median, the 99th percentile and the maximum of values, which may be in any order. */
export function spreadOf(values: number[]): Spread {
  const sorted = Float64Array.from(values).sort()
  const at = (rank: number) => sorted[Math.max(0, Math.ceil(sorted.length * rank) - 1)] ?? Number.NaN
  return { p50: at(0.5), p99: at(0.99), most: at(1) }
}
