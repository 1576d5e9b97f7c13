/** Ends a fuzzing run in which an input hangs. */

import { Worker } from 'node:worker_threads'

const HEAD = 12
const MAX = 1 << 16

/**
 * Watches from another thread whether inputs end. One that takes too long ends the process. The input is saved first,
 * because nothing in this thread could do so any more.
 */
export class Watchdog {
  readonly #shared = new SharedArrayBuffer(HEAD + MAX)
  readonly #head = new Int32Array(this.#shared, 0, 3)
  readonly #bytes = new Uint8Array(this.#shared, HEAD)
  readonly #worker: Worker

  /** @param file where an input that hangs is written */
  constructor(file: string, seconds: number) {
    this.#worker = new Worker(watch, { eval: true, workerData: { shared: this.#shared, file, seconds } })
    this.#worker.unref()
  }

  /** Tells the watchdog that an input is about to run. */
  begin(input: Uint8Array): void {
    this.#bytes.set(input)
    this.#head[1] = input.length
    Atomics.add(this.#head, 0, 1)
  }

  async stop(): Promise<void> {
    await this.#worker.terminate()
  }
}

const watch = `
const { workerData: { shared, file, seconds } } = require('node:worker_threads')
const head = new Int32Array(shared, 0, 3)
let last = -1
let since = process.cpuUsage()
let looks = 0
setInterval(() => {
  const now = Atomics.load(head, 0)
  if (now !== last) {
    last = now
    since = process.cpuUsage()
    looks = 0
    return
  }
  // on a busy machine an input may not have run for long, though it was begun long ago
  const { user, system } = process.cpuUsage(since)
  if ((user + system) / 1e6 < seconds / 2 && ++looks < 10) return
  require('node:fs').writeFileSync(file, Buffer.from(shared, ${HEAD}, head[1]))
  require('node:fs').writeSync(2, 'an input ran for over ' + seconds + ' s: ' + file + '\\n')
  process.kill(process.pid, 'SIGKILL')
}, seconds * 1000)
`
