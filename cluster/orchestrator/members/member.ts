/** A worker of the cluster, or a cluster that joined as one: what the orchestrator knows of it and runs on it. */
import type { ModelRecord, Report } from '../../../api/report.js'
import { SUSPECT_AFTER } from '../limits.js'
import { Pace } from './pace.js'
import type { Peer } from './peer.js'

export class Member {
  /**
   * Whether it has answered a probe since it joined, or since something (missed heartbeats, a quarantine, another
   * model) last cast doubt on it.
   */
  ready = false
  /** Whether this cluster drains it. It may also drain by itself: `report.state`. */
  draining = false
  /** Heartbeats in a row at which this member, a cluster, listed our cluster among those below it. */
  ringed = 0
  /** Heartbeats since it last answered one. */
  missed = 0
  /** Whether its answers stand still: no attempt on it has given a sign of life since that was noticed. */
  still = false
  /** How often it gives a sign of life while it answers. */
  readonly pace = new Pace()
  /** Answers in a row that broke off on it. */
  failures = 0
  /** Whether it is quarantined; until when, by the clock; and how many quarantines in a row it has had. */
  quarantined = false
  quarantinedUntil = 0
  quarantines = 0
  /** Until when, by the clock, it asked to be given no requests, and the error with which it asked. */
  pausedUntil = 0
  pausedWhy: Error | undefined
  /**
   * Why its last probe failed; before which time, by the clock, it is not probed again; and how many probes failed in a
   * row.
   */
  problem: string | undefined
  probeAfter = 0
  probes = 0
  /** When it was last chosen: a sequence number, not a time. */
  lastUsed = 0
  /** Whether it runs a task that may be poison, and gets no other beside it. */
  alone = false
  /** The model that this cluster is having it load. */
  loading: string | undefined
  /** How many exchanges this cluster has given it in all. */
  given = 0
  /** Exchanges on it that are not this cluster's: those of its other users. */
  externalActive: number
  left = false
  /** How many attempts of this cluster run on it. The dispatcher keeps the attempts, and counts them here. */
  running = 0

  constructor(
    /** The name of its directory in our tree. */
    readonly name: string,
    readonly peer: Peer,
  ) {
    // exchanges that it reports when it joins belong to others, or to us from before a restart: Recovery finds those
    // later
    this.externalActive = peer.report.active
  }

  get report(): Report {
    return this.peer.report
  }

  get id(): string {
    return this.report.id
  }

  /** The model that it answers with; of a cluster, which may have several, the first that is loaded. */
  get model(): ModelRecord | undefined {
    return this.report.models.find(model => model.loaded)
  }

  /** Whether it has this model loaded. */
  has(model: string | undefined): boolean {
    return this.report.models.some(({ name, loaded }) => loaded && name === model)
  }

  get active(): number {
    return this.running + this.externalActive
  }

  /** Active exchanges per slot. */
  get load(): number {
    return this.active / (this.report.slots || 1)
  }

  get suspect(): boolean {
    return this.missed >= SUSPECT_AFTER
  }

  /** Whether the worker accepts prompts, ignoring slot availability and quarantine. */
  get serving(): boolean {
    return this.ready && !this.left && !this.draining && !this.suspect && this.report.state !== 'draining'
  }

  /** Whether its text comes from an upstream (docs/cluster.md, Upstreams). */
  get remote(): boolean {
    return this.report.patience_s > 0
  }

  /** Why it cannot answer; undefined if it can, or is still starting. */
  get error(): string | undefined {
    return this.state === 'failed' ? (this.report.error ?? this.problem) : undefined
  }

  /** Its `state` in the cluster's `status`. */
  get state(): string {
    if (this.suspect || (this.still && !this.ready)) return 'suspect'
    if (this.draining || this.report.state === 'draining') return 'draining'
    if (this.report.state === 'failed') return 'failed'
    if (this.report.loading !== '' && !this.model) return 'loading'
    if (!this.ready && this.problem !== undefined) return 'failed'
    if (!this.ready || !this.model) return 'joining'
    return this.active > 0 ? 'busy' : 'idle'
  }
}
