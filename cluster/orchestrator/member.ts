import type { ModelRecord, Report } from '../../api/report.js'
import type { Attempt } from './attempt.js'
import { SUSPECT_AFTER } from './limits.js'
import type { Peer } from './peer.js'

/** A worker of the cluster (or a cluster that joined as one): what is known of it, and what runs on it for us. */
export class Member {
  /** Has answered a probe prompt since it joined, or since it was last in doubt. */
  ready = false
  /** `drain` was said here. */
  draining = false
  /** Heartbeats in a row at which it, a cluster, had ours among those below it. */
  ringed = 0
  /** Heartbeats since its last answer. */
  missed = 0
  /** Answers in a row that broke off on it. */
  failures = 0
  /** Whether it is set aside, until when, by the clock, and how often it was. */
  aside = false
  asideUntil = 0
  asides = 0
  /** Until when it asked to be given nothing, by the clock, and in which words. */
  pausedUntil = 0
  pausedWhy: Error | undefined
  /** Why it did not answer the last probe, since when none is made before that time, and how many failed in a row. */
  problem: string | undefined
  probeAfter = 0
  probes = 0
  /** When it was last chosen: a count, not a time. */
  lastUsed = 0
  /** It runs something that may be poison, and nothing else beside it. */
  alone = false
  /** The model it has been told to load. */
  loading: string | undefined
  /** How many exchanges we have given it. */
  given = 0
  /** Exchanges on it that are not ours: its other users'. */
  foreign: number
  left = false
  readonly running = new Set<Attempt>()

  constructor(
    /** The directory in our tree. */
    readonly name: string,
    readonly peer: Peer,
  ) {
    // what it answers when it joins is others', or ours from before we were started and not found yet
    this.foreign = peer.report.active
  }

  get report(): Report {
    return this.peer.report
  }

  get id(): string {
    return this.report.id
  }

  /** The model it answers with. A cluster has several; then it is the first that is loaded. */
  get model(): ModelRecord | undefined {
    return this.report.models.find(model => model.loaded)
  }

  /** Whether it has a model loaded. */
  has(model: string | undefined): boolean {
    return this.report.models.some(({ name, loaded }) => loaded && name === model)
  }

  get active(): number {
    return this.running.size + this.foreign
  }

  /** Active per slot. */
  get load(): number {
    return this.active / (this.report.slots || 1)
  }

  get suspect(): boolean {
    return this.missed >= SUSPECT_AFTER
  }

  /** Whether it may be given prompts, as far as itself is concerned, were a slot free. */
  get serving(): boolean {
    return this.ready && !this.left && !this.draining && !this.suspect && this.report.state !== 'draining'
  }

  /** Whether a server elsewhere makes its text. */
  get remote(): boolean {
    return this.report.patience_s > 0
  }

  /** Why it cannot answer; undefined: it can, or is on its way. */
  get error(): string | undefined {
    return this.state === 'failed' ? (this.report.error ?? this.problem) : undefined
  }

  /** What the cluster's status says of it. */
  get state(): string {
    if (this.suspect) return 'suspect'
    if (this.draining || this.report.state === 'draining') return 'draining'
    if (this.report.state === 'failed') return 'failed'
    if (this.report.loading !== '' && !this.model) return 'loading'
    if (!this.ready && this.problem !== undefined) return 'failed'
    if (!this.ready || !this.model) return 'joining'
    return this.active > 0 ? 'busy' : 'idle'
  }
}
