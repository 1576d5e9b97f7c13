/** Whether a cluster can answer: who waits for that, and when waiting has no point. */

import { FsError, fail, received } from '../../api/errors.js'
import { type Cancel, type Clock, every } from '../../fs/base/clock.js'
import * as limits from './limits.js'
import type { Hosts } from './members/hosts.js'
import type { Membership } from './members/membership.js'

export interface ReadinessOptions {
  clock: Clock
  membership: Membership
  hosts: Hosts
  /** Whether any worker has a free slot. */
  routing: { readonly free: boolean }
  /** Whether there was a worker before this start. */
  state: { readonly known: boolean }
  /** Whether the cluster ends. */
  life: { readonly closing: boolean }
  /** Whether the cluster starts workers by itself. */
  scales(): boolean
}

/** What somebody waits for: a prompt would be answered; without `model`, a worker could load one. */
interface Wait {
  readonly model: boolean
  /** Failures that end the wait: as many as workers were started with the server. */
  readonly workers: number
  resolve(): void
  reject(error: Error): void
}

export class Readiness {
  readonly #o: ReadinessOptions
  /** Whether there has ever been a worker, also before this start, and when one last joined, reported or left. */
  #met: boolean
  #lastMet: number
  readonly #waits = new Set<Wait>()
  readonly #stop: Cancel

  /** Called while there is no point in waiting for a worker: what waits must fail. */
  onLacking: (error: Error) => void = () => undefined

  constructor(o: ReadinessOptions) {
    this.#o = o
    this.#met = o.state.known
    this.#lastMet = o.clock.now()
    this.#stop = every(o.clock, limits.WATCH_MS, () => {
      const lacking = this.#lacking()
      if (lacking) this.onLacking(lacking)
    })
  }

  close(): void {
    this.#stop()
  }

  /** @throws FsError `shutting down` if the cluster ends and takes no more prompts */
  accept(): void {
    if (this.#o.life.closing) throw fail('shuttingDown')
  }

  /** @throws FsError why there is no point in waiting for a worker */
  answerable(): void {
    const lacking = this.#lacking()
    if (lacking) throw lacking
  }

  /** A subscriber to changes. */
  changed(): void {
    this.#met = true
    this.#lastMet = this.#o.clock.now()
    this.#announce()
  }

  /**
   * Why there is no point in waiting for a worker; undefined if there is. Either there is none, none is starting, and
   * none that was disconnected may still come back; or all upstreams are away.
   */
  #lacking(): Error | undefined {
    const { clock, membership, hosts, scales } = this.#o
    const workers = [...hosts.peers.values()].flatMap(({ report }) => report.workers)
    const members = [...membership.members.values()]
    if (members.length > 0) {
      const starting = workers.some(({ state }) => state === 'starting')
      const away = members.every(({ remote, error }) => remote && error !== undefined)
      return away && !starting ? received(members[0]!.error!) : undefined
    }
    const grace = this.#met ? limits.NEXT_WORKER_MS : limits.FIRST_WORKER_MS
    if (clock.now() - this.#lastMet < grace) return undefined
    if (workers.some(({ state }) => state !== 'stopping')) return undefined
    if (hosts.peers.size > 0 && scales()) return undefined
    return fail('noWorkers', 'start one with: llamboctl spawn default, or add a machine with: llamboctl join')
  }

  /**
   * Resolves when a prompt would be answered; with `model: false`, when there is a worker to load a model.
   * @throws why none of the workers that were started can answer
   */
  ready({ model, workers }: { model: boolean; workers: number }, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const end = () => {
        this.#waits.delete(wait)
        signal?.removeEventListener('abort', abort)
      }
      const wait: Wait = {
        model,
        workers: Math.max(1, workers),
        resolve() {
          end()
          resolve()
        },
        reject(error) {
          end()
          reject(error)
        },
      }
      const abort = () => wait.reject(signal?.reason as Error)
      signal?.addEventListener('abort', abort, { once: true })
      this.#waits.add(wait)
      this.#announce()
    })
  }

  #announce(): void {
    if (this.#waits.size === 0) return
    const members = [...this.#o.membership.members.values()]
    const failures = members.flatMap(({ error }) => error ?? [])
    for (const { model, workers, resolve, reject } of [...this.#waits]) {
      if (this.#o.routing.free || (!model && members.length > 0)) resolve()
      else if (failures.length >= workers) reject(new FsError(failures[0]!, 5))
    }
  }
}
