/** The types by which a host starts, supervises and remembers the processes of its workers. */
import type { WorkerClass } from '../class.js'

/**
 * Where a worker joins, and its credentials there. They are secret, so they are never in the arguments or the
 * environment of a process.
 */
export interface Upstream {
  /** A dial string: `unix!PATH`, `wss://HOST:PORT/join`. */
  readonly address: string
  readonly token?: string
  /** The fingerprint of the certificate that the other end must present: `sha256:HEX`. */
  readonly fingerprint?: string
}

/** The specification that a worker process gets at its start. */
export interface SpawnSpec {
  /** Stays the same across restarts, for as long as its host keeps the worker. */
  readonly id: string
  /** Changes with each start. */
  readonly boot: string
  readonly class: WorkerClass
  /** The model that it loads first: a name or a path, or `none`. If omitted, the model of its class. */
  readonly hold?: string | undefined
  /** The id of the host that starts it. Two machines may have the same name. */
  readonly host_id: string
  readonly upstream: Upstream
  /** Proves, where it joins, that it is this worker. As secret as the token. */
  readonly secret: string
}

/**
 * How a process ended. If neither code nor signal is set, it could not be started, or it is not our child and was found
 * gone.
 */
export interface Exit {
  readonly code: number | null
  readonly signal: string | null
  /** The last line it printed, or why it could not be started. */
  readonly said?: string | undefined
}

/** A child process, as the function that starts it returns it. */
export interface Child {
  /** undefined: it could not be started, and `exited` says why. */
  readonly pid: number | undefined
  /** When it began, in the kernel's clock ticks: distinguishes it from a later process with the same number. */
  readonly born?: string | undefined
  /**
   * Resolves when the worker has loaded its first model, or will not load one, and so has taken the memory that it
   * needs; for a mount, when it is mounted. If omitted, it is ready at once.
   */
  readonly ready?: Promise<void>
  /**
   * Asks a question that only a live process answers; never rejects. If omitted, all that can be known is that the
   * process exists.
   */
  readonly ask?: () => Promise<void>
  /** Never rejects. */
  readonly exited: Promise<Exit>
  /** Sends a signal. Does nothing once the process has ended. */
  kill(signal: 'SIGTERM' | 'SIGKILL'): void
}

/** A worker's process. */
export type WorkerProcess = Child

/** What a host saves of a running worker for the next host, in case this one is killed. */
export interface WorkerRecord {
  readonly pid: number
  readonly born?: string | undefined
  readonly id: string
  readonly boot: string
  readonly class: WorkerClass
  /** The model that its next process loads first, if not that of its class. */
  readonly hold?: string | undefined
  /** Proves, where it joins, that it is this worker. Absent if an older version started it, which had no secrets. */
  readonly secret?: string | undefined
}
