/** Runs the tasks of a cluster on its members: starts attempts, and acts on how they end. */

import { FsError, fail } from '../../../api/errors.js'
import type { Events } from '../../../api/events.js'
import type { Request } from '../../../api/request.js'
import { backoff } from '../../../fs/base/backoff.js'
import type { Clock } from '../../../fs/base/clock.js'
import type { Executor } from '../../root/executor.js'
import type { Task } from '../../root/task.js'
import * as limits from '../limits.js'
import type { Change, Changes } from '../members/changes.js'
import type { Health } from '../members/health.js'
import type { Member } from '../members/member.js'
import type { Membership } from '../members/membership.js'
import type { Catalog } from '../models/catalog.js'
import type { Loading } from '../models/loading.js'
import type { Readiness } from '../readiness.js'
import type { Affinity } from './affinity.js'
import { Attempt, type GeneratedTokens, type Outcome } from './attempt.js'
import { Deaths } from './deaths.js'
import { forwarded } from './forwarded.js'
import { CRASH_LIMIT, crashSignals, PoisonList, poison } from './poison.js'
import type { Proofs } from './proof.js'
import { count, type Retry, stuck, type Tally } from './retry.js'
import type { Choice, Routing } from './routing.js'
import { Watchdog } from './watchdog.js'

/** What is known of a task across its attempts. */
interface Course extends GeneratedTokens {
  tally: Tally
  attempts: number
  /** Tokens that the task had when its last attempt began. */
  tokensAtStart: number
  /** Before this time, by the clock, the worker that the last attempt failed on is not tried again. */
  notBefore: number
  /** Workers that crashed while they had the task. */
  deaths: number
  /** The digest of the model that made the first token. */
  digest: string | undefined
  /** The id of the worker that the last attempt failed on. */
  avoid: string | undefined
}

export interface DispatcherOptions {
  clock: Clock
  random: () => number
  events: Events
  settings: { readonly retry: Retry; readonly queue: { readonly ttl_s: number } }
  /** Our id. */
  id: string
  /** Makes the proof that a member gets with an exchange, and shows later to claim it. */
  proofs: Proofs
  changes: Changes
  membership: Membership
  health: Health
  catalog: Catalog
  loading: Loading
  routing: Routing
  affinity: Affinity<Member>
  readiness: Readiness
}

export class Dispatcher implements Executor {
  readonly #o: DispatcherOptions
  readonly #courses = new WeakMap<Task, Course>()
  readonly #poisons: PoisonList
  readonly #deaths: Deaths
  /** By member, the attempts that run on it. */
  readonly #running = new Map<Member, Set<Attempt>>()
  /** Retries that have given no token yet. */
  readonly #retrying = new Set<Attempt>()
  #active = 0
  readonly #watchdog: Watchdog

  constructor(o: DispatcherOptions) {
    this.#o = o
    this.#poisons = new PoisonList(o.clock)
    this.#deaths = new Deaths(o.clock)
    this.#watchdog = new Watchdog({
      clock: o.clock,
      running: this.#running,
      onSilent: (attempt, ms) => this.#silent(attempt, ms),
      onStill: members => this.#still(members),
    })
  }

  get slots(): number {
    return this.#o.routing.slots
  }

  get active(): number {
    return this.#active
  }

  get free(): boolean {
    return true
  }

  accept(): void {
    this.#o.readiness.accept()
  }

  known(request: Request): void {
    const ring = request.via?.find(({ cluster }) => cluster === this.#o.id)
    if (ring)
      throw fail(
        'badArgument',
        `via: this request already passed this cluster as task ${ring.task}; the clusters form a ring`,
      )
    this.#poisons.check(request)
    this.#o.readiness.answerable()
    this.#o.catalog.known(request)
  }

  coming(task: Task): boolean {
    return this.#o.catalog.coming(task.request)
  }

  start(task: Task): Promise<'ended' | 'again'> | undefined {
    const { changes, clock, loading } = this.#o
    const course = this.#course(task)
    const most = Math.max(limits.RETRIES, limits.RETRY_SHARE * this.#active)
    if (course.tally.failuresInARow > 0 && this.#retrying.size >= most) return undefined
    const { request } = task
    // what has changed in this turn decides, too
    changes.publish()
    const choice = this.#choose(task, course)
    if (!choice) {
      const paused = this.#paused(task)
      if (paused) throw paused
      loading.bring(request)
      return undefined
    }
    // only the worker that the task failed on is free, and it is too early to try that again
    if (choice.member.id === course.avoid && clock.now() < course.notBefore) return undefined
    return this.#begin(task, course, choice)
  }

  /**
   * Takes over what is known of a task that an earlier orchestrator began: the token ids it was given, and the attempt
   * that runs it.
   */
  restore(task: Task, o: { attempt: number; ids: readonly number[]; digest: string | undefined }): void {
    const course = this.#course(task)
    course.attempts = o.attempt
    course.ids.push(...o.ids)
    course.digest = o.digest
    course.tokensAtStart = task.completion_tokens
  }

  /**
   * Continues an exchange that a worker still has, from before this orchestrator started or the connection broke.
   * @returns how it ended; `again` if the task must wait again. The promise never rejects
   */
  async find(task: Task, member: Member, remote: string): Promise<'ended' | 'again'> {
    const course = this.#course(task)
    const attempt = this.#attempt(task, course, member)
    task.starts(member.name, member.model?.name ?? '')
    // until now it counted among the exchanges of others
    member.externalActive = Math.max(0, member.externalActive - 1)
    task.trace('found', { worker: member.name, remote, attempt: course.attempts })
    const skip = task.completion_tokens - course.tokensAtStart
    const how = await this.#run(task, course, attempt, attempt.find(remote, skip))
    this.#o.changes.wake()
    return how
  }

  /** The number of a task's current attempt; 0 if it has had none. */
  attemptOf(task: Task): number {
    return this.#courses.get(task)?.attempts ?? 0
  }

  /** A subscriber to changes. */
  changed({ member, left }: Change): void {
    const { routing, affinity, health } = this.#o
    routing.update(member)
    // a quarantined member may be chosen if no other serves its model any more: this member may have been the last
    for (const other of health.quarantine.members) routing.update(other)
    if (!left) return
    affinity.forget(member)
    const attempts = this.#on(member)
    this.#deaths.lost(
      member,
      attempts.map(({ task }) => task),
    )
    for (const attempt of attempts) attempt.giveUp({ how: 'lost', error: left })
  }

  /** Reassigns the member's running tasks to other workers without counting a failure. */
  move(member: Member, error: Error): void {
    for (const attempt of this.#on(member)) attempt.giveUp({ how: 'lost', error, orderly: true })
  }

  /**
   * A host reports that a signal ended one of its workers. If the worker crashed, a task that it was running may be the
   * cause.
   */
  died(host_id: string, boot: string, signal: string): void {
    if (!crashSignals.includes(signal)) return
    const { membership, events } = this.#o
    const member = [...membership.members.values()].find(({ report }) => report.boot === boot)
    // a host is believed about its own workers only
    const running = member?.report.host_id === host_id ? this.#on(member).map(({ task }) => task) : []
    for (const task of new Set([...this.#deaths.take(host_id, boot), ...running])) {
      if (task.ended && task.state !== 'failed') continue
      const course = this.#course(task)
      course.deaths++
      task.trace('death', { boot, signal, deaths: course.deaths })
      if (course.deaths < CRASH_LIMIT) continue
      this.#poisons.add(task.request)
      events.add('poison', { task: task.id, user: task.user.name, deaths: course.deaths })
      task.stop(poison())
    }
  }

  /** Whether an attempt of ours runs under this number on the member. */
  has(member: Member, remote: string): boolean {
    return this.#on(member).some(attempt => attempt.remote === remote)
  }

  close(): void {
    this.#watchdog.close()
  }

  #on(member: Member): Attempt[] {
    return [...(this.#running.get(member) ?? [])]
  }

  #count(member: Member, change: (attempts: Set<Attempt>) => void): void {
    const attempts = this.#running.get(member) ?? new Set()
    if (attempts.size === 0) member.still = false
    change(attempts)
    member.running = attempts.size
    if (attempts.size > 0) this.#running.set(member, attempts)
    else this.#running.delete(member)
    this.#o.routing.update(member)
  }

  #course(task: Task): Course {
    let course = this.#courses.get(task)
    if (!course) {
      const { digest, generate } = task.request
      course = {
        tally: { failuresInARow: 0, moves: 0, pauses: 0 },
        ids: [...(generate.prefix_ids ?? [])],
        seamless: true,
        attempts: 0,
        tokensAtStart: 0,
        notBefore: 0,
        deaths: 0,
        digest,
        avoid: undefined,
      }
      this.#courses.set(task, course)
    }
    return course
  }

  #attempt(task: Task, course: Course, member: Member): Attempt {
    const { clock, changes } = this.#o
    const proved = () => {
      // a retry that produces tokens no longer counts towards the retry limit, so another one may start
      if (this.#retrying.delete(attempt)) changes.wake()
    }
    const attempt: Attempt = new Attempt(task, member, course.attempts, course, () => clock.now(), proved)
    return attempt
  }

  #begin(task: Task, course: Course, choice: Choice): Promise<'ended' | 'again'> {
    const { member, why, candidates, scores } = choice
    const { routing, id, proofs, catalog } = this.#o
    course.attempts++
    course.tokensAtStart = task.completion_tokens
    const attempt = this.#attempt(task, course, member)
    const { strategy } = routing
    task.trace('routed', { strategy, worker: member.name, why, candidates, scores, attempt: course.attempts })
    task.starts(member.name, member.model?.name ?? task.request.model ?? '')
    if (course.deaths > 0 && member.running === 0) member.alone = true
    routing.used(member)
    const { ids, digest } = course
    const given = ids.length > 0 && digest ? { ids, digest } : undefined
    const o = { id, proofs, plain: catalog.plain, attempt: course.attempts, given }
    return this.#run(task, course, attempt, attempt.run(forwarded(task, member, o)))
  }

  /** Waits for the end of an attempt, and acts on its outcome. */
  async #run(task: Task, course: Course, attempt: Attempt, work: Promise<Outcome>): Promise<'ended' | 'again'> {
    const { member } = attempt
    member.given++
    this.#active++
    this.#count(member, attempts => attempts.add(attempt))
    if (course.tally.failuresInARow > 0) this.#retrying.add(attempt)
    const outcome = await work
    this.#retrying.delete(attempt)
    this.#active--
    member.alone = false
    this.#count(member, attempts => attempts.delete(attempt))
    if (attempt.remote !== undefined) task.trace('remote', { worker: member.name, task: attempt.remote })
    return this.#after(task, course, attempt, outcome)
  }

  #after(task: Task, course: Course, attempt: Attempt, outcome: Outcome): 'ended' | 'again' {
    const { member } = attempt
    if (outcome.how === 'ended') {
      this.#o.health.quarantine.good(member)
      this.#o.affinity.note(task.request, task.session, task.answer.text(), member)
      task.settle()
      return 'ended'
    }
    if (outcome.how === 'failed' || task.stopped) {
      task.settle(task.stopped ?? outcome.error)
      return 'ended'
    }
    const { error, orderly = false, pause_ms } = outcome
    const tokens = attempt.producedTokens
    course.tally = count(course.tally, { orderly, pause: pause_ms !== undefined, tokens })
    course.digest = digestOf(course, attempt)
    this.#blame(course, attempt, outcome)
    const why = this.#stuck(task, course, course.tally)
    if (why) {
      task.trace('given-up', { worker: member.name, why, error: error.message })
      task.settle(final(error, task.completion_tokens))
      return 'ended'
    }
    course.avoid = orderly ? undefined : member.id
    task.waits(error, { attempt: attempt.number })
    return 'again'
  }

  /** Why a task with that tally cannot go on; undefined if it can. */
  #stuck(task: Task, { seamless, digest }: Course, tally: Tally): string | undefined {
    const { schema, tools } = task.request.generate
    const given = {
      tokens: task.completion_tokens,
      text: task.answer.length > 0,
      structured: schema !== undefined || tools !== undefined,
      continuable: seamless && Boolean(digest),
    }
    return stuck(tally, given, this.#o.settings.retry)
  }

  /** The member that would run a task now; undefined if none has a free slot. */
  #choose(task: Task, { ids, digest, avoid, deaths }: Course): Choice | undefined {
    const { routing, catalog } = this.#o
    return routing.choose(task, {
      digest: ids.length > 0 ? digest : task.request.digest,
      plain: catalog.plain,
      avoid,
      alone: deaths > 0,
    })
  }

  /** What follows for the member that an attempt broke off on. */
  #blame(course: Course, { member, producedTokens }: Attempt, outcome: Extract<Outcome, { how: 'lost' }>): void {
    const { health, clock, changes } = this.#o
    const { error, orderly = false, blame = false, still = false, pause_ms } = outcome
    if (still) return
    if (pause_ms !== undefined) {
      // longer each time that the same task meets a pause
      const wait = Math.max(pause_ms, this.#backoff(course.tally.pauses))
      health.quarantine.pause(member, Math.min(wait, limits.MOST_PAUSE_MS), error)
    } else if (blame || (!orderly && !member.left)) health.failed(member, error)
    else if (orderly && !producedTokens && !member.left) health.refused(member)
    if (error instanceof FsError && error.is('upstreamFailed')) {
      const wait = this.#backoff(course.tally.failuresInARow)
      course.notBefore = clock.now() + wait
      clock.after(wait, () => changes.wake(), true)
    }
  }

  /** How long to wait before the nth retry, in ms. */
  #backoff(n: number): number {
    return backoff(Math.max(0, n - 1), limits.RETRY_PAUSES, this.#o.random)
  }

  /**
   * Why a task cannot run in time: every worker that could answer it has asked for a pause that is longer than the task
   * may wait.
   */
  #paused(task: Task): Error | undefined {
    const { clock, membership, settings } = this.#o
    const now = clock.now()
    const { model } = task.request
    let first: Member | undefined
    for (const member of membership.members.values()) {
      if (!member.serving || (model !== undefined && !member.has(model))) continue
      if (member.pausedUntil <= now) return undefined
      if (!first || member.pausedUntil < first.pausedUntil) first = member
    }
    if (!first) return undefined
    const waited = now - (task.waitingSince ?? now)
    const left = Math.min(settings.queue.ttl_s * 1000 - waited, task.left_ms)
    return first.pausedUntil - now > left ? first.pausedWhy : undefined
  }

  /** An attempt has been silent for too long. */
  #silent(attempt: Attempt, ms: number): void {
    const { member, task } = attempt
    const seconds = Math.round(ms / 1000)
    if (!member.remote) return this.#o.health.hung(member, `task ${task.id} produced no token for ${seconds} s`)
    // a silent upstream says nothing about the worker, nor about its other answers
    const why = `${member.name} received nothing from it for ${seconds} s`
    attempt.giveUp({ how: 'lost', error: fail('upstreamFailed', why) })
  }

  /** Members stand still: those of their tasks move that another member could take now and would not end in an error. */
  #still(members: readonly Member[]): void {
    const { health, changes } = this.#o
    for (const member of members) health.still(member)
    changes.publish()
    for (const member of members) {
      const error = fail('hungUp', `${member.name} stands still`)
      for (const attempt of this.#on(member))
        if (this.#movable(attempt)) attempt.giveUp({ how: 'lost', error, still: true })
    }
  }

  #movable(attempt: Attempt): boolean {
    const { task, producedTokens: tokens } = attempt
    const course = this.#course(task)
    const tally = count(course.tally, { orderly: false, pause: false, tokens })
    const after = { ...course, digest: digestOf(course, attempt) }
    return this.#stuck(task, after, tally) === undefined && this.#choose(task, after) !== undefined
  }
}

/** The digest of the model that made a task's first token; undefined if it is not known. */
const digestOf = ({ digest }: Course, { producedTokens, task, member }: Attempt): string | undefined =>
  digest ?? (producedTokens ? member.report.models.find(({ name }) => name === task.model)?.digest : undefined)

/**
 * The error that a reader gets for an answer that broke off: `worker lost`, unless the worker itself said what went
 * wrong.
 */
function final(error: Error, tokens: number): FsError {
  const said =
    error instanceof FsError &&
    !(['hungUp', 'badMessage', 'shuttingDown', 'interrupted', 'cancelled'] as const).some(code => error.is(code))
  return said ? error : new FsError(fail('workerLost', tokens).message, 5, { cause: error })
}
