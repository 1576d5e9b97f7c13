/** What an orchestrator is given, and what it offers to the server around it. */

import type { Events } from '../../api/events.js'
import type { Sampling } from '../../api/sampling.js'
import type { Clock } from '../../fs/base/clock.js'
import type { File, Owner, User } from '../../fs/file.js'
import type { Transport } from '../../fs/transport.js'
import type { Budget } from '../root/budget.js'
import type { SpillDisk } from '../root/spills.js'
import type { Store } from './saved.js'
import type { ClusterSettings } from './settings.js'

export interface OrchestratorOptions {
  /** The cluster's name. */
  name: string
  version: string
  owner: Owner
  /**
   * Persistent storage for the cluster's id, the numbers it has given out, its sessions and the settings of its `ctl`.
   * If omitted, nothing is persisted.
   */
  store?: Store
  /** The machine that the orchestrator is on: models that are copied to the cluster go there. */
  host: string
  /** Users, besides admins, that may ask for a priority above 0. */
  prioritised?: readonly string[]
  /** The memory that may be kept for users. If omitted, it has no limit. */
  budget?: Budget
  /** Where long answers and transcripts go. If omitted, they stay in memory. */
  spill?: SpillDisk
  clock?: Clock
  random?: () => number
  /** Makes a secret that nobody can guess. If omitted, it is 256 bits of the system's random numbers. */
  secret?: () => string
  settings?: Partial<ClusterSettings>
  /** Whether the model was chosen for this start. An earlier `load` for the whole cluster is then forgotten. */
  newModel?: boolean
  /** Sampling that suits a model, where the user has set nothing. It is only shown: workers know better. */
  defaults?: (model: string) => Partial<Sampling>
  /** Lines that `namespace` shows besides those of workers and hosts. */
  mounts?: () => string[]
  /** Called with a line for each event that `log level` lets through. */
  log?: (line: string) => void
  /** Called when `shutdown` is written to `ctl`. */
  shutdown(): void
  /** Called when the cluster that we joined refuses us. */
  refused?(why: string): void
}

export interface Orchestrator {
  readonly root: File
  readonly events: Events
  /** Our own id. Requests that came through here carry it. */
  readonly id: string
  /** The secret that shows a cluster that we join that we are this one. */
  readonly secret: string
  /**
   * The model that a new worker of the default class should load first: a name or a path, or `none`. Empty: the class's
   * own.
   * @param model the class's own
   */
  holds(model: string | undefined): string
  /** Admits a peer that has connected to our join endpoint: it serves its files on that connection. Never rejects. */
  join(transport: Transport): Promise<void>
  /**
   * Resolves when a prompt would be answered; with `model: false`, when there is a worker to load a model.
   * @param o.workers how many workers are started with the server
   * @throws why none of them can answer
   */
  ready(o: { model: boolean; workers: number }, signal?: AbortSignal): Promise<void>
  /** Must be called for each failure that a user is answered with: the user's `error` file shows it. */
  failed(error: Error, user: User, file: string): void
  /** Must be called for each write of a user that succeeds: the user's `error` file is then empty. */
  succeeded(user: User): void
  /** How many exchanges are waiting or running. */
  readonly unfinished: number
  /**
   * Refuses new prompts, lets the present ones finish, and ends the rest with `shutting down` when the signal aborts.
   * @returns when none is left
   */
  drain(signal: AbortSignal): Promise<void>
  /** Ends all exchanges with `shutting down`, and closes all connections. */
  close(): Promise<void>
}
