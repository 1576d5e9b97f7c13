/** Keeps the model of `top` up to date. */

import { setTimeout as sleep } from 'node:timers/promises'
import { MAX_EVENT } from '../api/exit.js'
import { Lines } from '../api/text.js'
import type { Connection } from '../cli/connect.js'
import { explain } from '../cli/exit.js'
import { drain, entries, promptly, readText, withFile } from '../cli/files.js'
import type { Invocation } from '../cli/invocation.js'
import { OREAD, OWRITE } from '../fs/wire/protocol.js'
import type { Model } from './model.js'

/** How often `status` is read, in ms. */
const EVERY_MS = 1000
/** Pauses between attempts to reach a cluster that is away, in ms: the first and the longest. */
const [PAUSE_MS, LONGEST_MS] = [500, 5000]
/** How many tasks' status files are read at once, and how many in one round. */
const AT_ONCE = 32
const MAX_ROUND = 256

/** Reads the cluster's files into a model again and again, and reconnects when the cluster comes back. */
export class Source {
  #connection: Connection | undefined

  constructor(
    readonly io: Invocation,
    readonly model: Model,
    /** Called when there is something new. */
    readonly changed: () => void,
    /** The tasks on the screen, whose status is read in every round. */
    readonly visible: () => readonly string[] = () => [],
  ) {}

  /** Connects for the first time. @throws Failure, as every command does */
  async open(): Promise<void> {
    this.#connection = await this.io.connect()
  }

  /** Reads everything once. */
  async once(): Promise<void> {
    const { root } = this.#connection!
    await this.#look(root)
    // the first read after an open returns all events there are, in one piece
    const events = await promptly(root, ['event'], this.io.signal, signal =>
      withFile(root, ['event'], OREAD, signal, fid => fid.read(0, Number.MAX_SAFE_INTEGER, signal)),
    )
    this.model.happened(Buffer.from(events).toString().split('\n'))
  }

  /** Reads until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    for (let pause = PAUSE_MS; !signal.aborted; ) {
      try {
        this.#connection ??= await this.io.connect()
        const { root } = this.#connection
        const over = new AbortController()
        const both = AbortSignal.any([signal, over.signal])
        pause = PAUSE_MS
        await Promise.all([this.#events(root, both), this.#states(root, both)]).finally(() => over.abort())
      } catch (error) {
        this.close()
        if (signal.aborted) return
        this.model.problem = explain(error)
        this.changed()
        await sleep(pause, undefined, { signal }).catch(() => undefined)
        pause = Math.min(LONGEST_MS, pause * 2)
      }
    }
  }

  async #states(root: Connection['root'], signal: AbortSignal): Promise<void> {
    for (;;) {
      await this.#look(root, signal)
      this.changed()
      await sleep(EVERY_MS, undefined, { signal })
    }
  }

  async #look(root: Connection['root'], signal = this.io.signal): Promise<void> {
    const { model } = this
    model.status(await readText(root, ['status'], signal), Date.now())
    const names = await entries(root, ['task'], signal)
    const unknown = model.listed(names.map(({ name }) => name)).sort((a, b) => Number(b) - Number(a))
    const ask = [...new Set([...this.visible(), ...unknown])].slice(0, MAX_ROUND)
    const next = ask.values()
    const asker = async () => {
      for (const id of next) {
        const text = await readText(root, ['task', id, 'status'], signal).catch(gone(signal))
        if (text !== '') model.task(text)
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, asker))
  }

  async #events(root: Connection['root'], signal: AbortSignal): Promise<void> {
    await withFile(root, ['event'], OREAD, signal, async fid => {
      const lines = new Lines('events', MAX_EVENT)
      const take = async (data: Uint8Array) => {
        this.model.happened(lines.take(data))
        this.changed()
      }
      await drain(fid, take, signal)
    })
  }

  /** Reads a file for the detail view. A failure is returned as text. */
  read(path: readonly string[]): Promise<string> {
    if (!this.#connection) return Promise.resolve(this.model.problem ?? '')
    return readText(this.#connection.root, path, this.io.signal).catch(explain)
  }

  /** Cancels a task. @returns a message for the user */
  async cancel(id: string): Promise<string> {
    const root = this.#connection?.root
    if (!root) return 'the cluster cannot be reached'
    try {
      const line = Buffer.from('cancel\n')
      await withFile(root, ['task', id, 'ctl'], OWRITE, this.io.signal, fid => fid.write(0, line, this.io.signal))
      return `task ${id} cancelled`
    } catch (error) {
      return explain(error)
    }
  }

  close(): void {
    this.#connection?.client.close()
    this.#connection = undefined
  }
}

/** Makes a file that is gone read as nothing. If the connection is gone, the signal aborts, and the error is thrown. */
const gone = (signal: AbortSignal) => (error: unknown) => {
  if (signal.aborted) throw error
  return ''
}
