import type { WorkerClass } from '../class.js'

/** Where a worker joins, and what it shows there: a secret, so never among a process' arguments or in its environment. */
export interface Upstream {
  /** A dial string: `unix!PATH`, `wss://HOST:PORT/join`. */
  readonly address: string
  readonly token?: string
  /** Of the certificate that the other end must have: `sha256:HEX`. */
  readonly fingerprint?: string
}

/** What a worker process is started with. */
export interface SpawnSpec {
  /** The worker's for as long as its host keeps it, across restarts. */
  readonly id: string
  /** This start's. */
  readonly boot: string
  readonly class: WorkerClass
  /** The model that it loads first: a name or a path, or `none`. Absent: its class's. */
  readonly hold?: string | undefined
  /** Of the host that starts it: names of machines are given twice. */
  readonly host_id: string
  readonly upstream: Upstream
  /** What it shows where it joins, to prove that it is this worker: as secret as the token. */
  readonly secret: string
}

/** How a process ended. Neither code nor signal: it could not be started, or is not our child and was found gone. */
export interface Exit {
  readonly code: number | null
  readonly signal: string | null
  /** The last line it said, or why it could not be started. */
  readonly said?: string | undefined
}

/** A child process, as what starts it hands it out. */
export interface Child {
  /** undefined: it could not be started, and `exited` says why. */
  readonly pid: number | undefined
  /** When it began, in the kernel's ticks: tells it from a later process of the same number. */
  readonly born?: string | undefined
  /** Resolves when it holds what it loads first, or will not, and so uses the memory that it needs; a mount: when it is there. Absent: at once. */
  readonly ready?: Promise<void>
  /** Asks what only a live process answers; never rejects. Absent: that it is there is all that can be known. */
  readonly ask?: () => Promise<void>
  /** Never rejects. */
  readonly exited: Promise<Exit>
  /** Does nothing once it has ended. */
  kill(signal: 'SIGTERM' | 'SIGKILL'): void
}

/** A worker's process. */
export type WorkerProcess = Child

/** A running worker as a host remembers it for its successor, should it be killed. */
export interface WorkerRecord {
  readonly pid: number
  readonly born?: string | undefined
  readonly id: string
  readonly boot: string
  readonly class: WorkerClass
  /** The model that its next process loads first, where that is not its class's. */
  readonly hold?: string | undefined
  /** What it shows where it joins; absent where a version before there were secrets started it. */
  readonly secret?: string | undefined
}
