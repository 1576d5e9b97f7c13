/** Runs the tasks of a cluster on its workers: retries them, moves them, and refuses what must not be tried again. */

import { FsError, fail } from '../../../api/errors.js'
import { type Clock, every } from '../../../fs/base/clock.js'
import type { EventLog } from '../../../fs/kit/event-log.js'
import { type Request, requestJson, type Via } from '../../root/request.js'
import type { Task } from '../../root/task.js'
import type { Executor } from '../../root/tasks.js'
import * as limits from '../limits.js'
import type { Member } from '../members/member.js'
import type { Affinity } from './affinity.js'
import { Attempt, type GeneratedTokens, type Outcome } from './attempt.js'
import { CRASH_LIMIT, crashSignals, PoisonList, poison } from './poison.js'
import type { Proofs } from './proof.js'
import type { Choice, Routing } from './routing.js'

/** How often a task is tried before its first token, and how often it is moved in the middle of its answer. */
export interface Retry {
  tries: number
  resumes: number
}

/** What is known of a task across its attempts. */
interface RetryState extends GeneratedTokens {
  attempts: number
  /** Tokens that the task had when its last attempt began. */
  tokensAtStart: number
  /** Failed attempts that cost a try: the last one that gave a token, and all after it. */
  failuresInARow: number
  /** Moves that cost a resume. A move from a worker that shuts down in order does not. */
  moves: number
  /** Attempts that ended in a pause that their worker asked for. */
  pauses: number
  /** Before this time, by the clock, the worker that the last attempt failed on is not tried again. */
  notBefore: number
  /** Workers that crashed while they had the task. */
  deaths: number
  /** The digest of the model that made the first token. */
  digest: string | undefined
  /** The id of the worker that the last attempt failed on. */
  avoid: string | undefined
}

/** What the dispatcher needs of the cluster around it. */
export interface DispatcherDeps {
  /** Our id. */
  readonly id: string
  /** Makes the proof that a member gets with an exchange, and shows later to claim it. */
  readonly proofs: Proofs
  /** Every member that has joined. */
  members(): Iterable<Member>
  /** @throws FsError for a model that no member has, loaded or not */
  known(request: Request): void
  /** Whether a model that could answer the request is being loaded. */
  coming(request: Request): boolean
  /** The model of requests that name none; undefined: any. */
  plain(): string | undefined
  /**
   * Starts loading a model that no worker has ready.
   * @returns whether a load is in progress.
   * @throws FsError if it cannot be loaded
   */
  bring(request: Request): boolean
  /** A member hangs: its process must be ended, and its tasks move to others. */
  hung(member: Member, why: string): void
  /** A member refused a prompt that we expected it to take: its status must be read. */
  refused(member: Member): void
  /** A member has given a whole answer. */
  good(member: Member): void
  /** A member violated the protocol, or an answer broke off on it. */
  failed(member: Member, error: Error): void
  /** @throws FsError if the cluster takes no more tasks */
  accept(): void
}

/** Runs the tasks of a cluster on its members. */
export class Dispatcher implements Executor {
  readonly #courses = new WeakMap<Task, RetryState>()
  readonly #poisons: PoisonList
  /** By the `boot` of a lost worker, the tasks that it had. */
  readonly #recentlyLost = new Map<string, { host_id: string; tasks: readonly Task[] }>()
  /** By member, the attempts that run on it. */
  readonly #running = new Map<Member, Set<Attempt>>()
  /** Retries that have given no token yet. */
  readonly #retrying = new Set<Attempt>()
  #active = 0
  readonly #stopWatching: () => void

  constructor(
    readonly clock: Clock,
    readonly routing: Routing,
    readonly affinity: Affinity<Member>,
    readonly cluster: DispatcherDeps,
    readonly events: EventLog,
    readonly settings: { readonly retry: Retry; readonly queue: { readonly ttl_s: number } },
    readonly random: () => number,
  ) {
    this.#poisons = new PoisonList(clock)
    this.#stopWatching = every(clock, limits.WATCH_MS, () => this.#watch())
  }

  get slots(): number {
    return this.routing.slots
  }

  get active(): number {
    return this.#active
  }

  get free(): boolean {
    return true
  }

  accept(): void {
    this.cluster.accept()
  }

  known(request: Request): void {
    const ring = request.via?.find(({ cluster }) => cluster === this.cluster.id)
    if (ring)
      throw fail(
        'badArgument',
        `via: this request already passed this cluster as task ${ring.task}; the clusters form a ring`,
      )
    this.#poisons.check(request)
    this.cluster.known(request)
  }

  coming(task: Task): boolean {
    return this.cluster.coming(task.request)
  }

  start(task: Task): Promise<'ended' | 'again'> | undefined {
    const course = this.#course(task)
    if (course.failuresInARow > 0 && this.#retrying.size >= Math.max(limits.RETRIES, limits.RETRY_SHARE * this.#active))
      return undefined
    const { request } = task
    const digest = course.ids.length > 0 ? course.digest : request.digest
    const choice = this.routing.choose(task, {
      digest,
      plain: this.cluster.plain(),
      avoid: course.avoid,
      alone: course.deaths > 0,
    })
    if (!choice) {
      const paused = this.#paused(task)
      if (paused) throw paused
      this.cluster.bring(request)
      return undefined
    }
    // only the worker that the task failed on is free, and it is too early to try that again
    if (choice.member.id === course.avoid && this.clock.now() < course.notBefore) return undefined
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

  /** Continues an exchange that a worker still has, from before this orchestrator started or the connection broke. */
  find(task: Task, member: Member, remote: string): void {
    const course = this.#course(task)
    const attempt = this.#attempt(task, course, member)
    task.starts(member.name, member.model?.name ?? '')
    // until now it counted among the exchanges of others
    member.externalActive = Math.max(0, member.externalActive - 1)
    task.trace('found', { worker: member.name, remote, attempt: course.attempts })
    void this.#run(task, course, attempt, attempt.find(remote, task.completion_tokens - course.tokensAtStart)).then(
      how => {
        if (how === 'again') this.onAgain(task)
        this.onFree()
      },
    )
  }

  /**
   * Set by the owner of the queue: called when a task that was found breaks off again, and when a slot may have become
   * free.
   */
  onAgain: (task: Task) => void = () => undefined
  onFree: () => void = () => undefined

  /** The number of a task's current attempt; 0 if it has had none. */
  attemptOf(task: Task): number {
    return this.#courses.get(task)?.attempts ?? 0
  }

  /** The connection of a member is gone: its tasks move to others. */
  lost(member: Member, error: Error): void {
    const attempts = this.#on(member)
    const tasks = attempts.map(({ task }) => task)
    if (tasks.length > 0) {
      const { boot, host_id } = member.report
      this.#recentlyLost.set(boot, { host_id, tasks })
      this.clock.after(limits.OBITUARY_MS, () => this.#recentlyLost.delete(boot), true)
    }
    for (const attempt of attempts) attempt.giveUp({ how: 'lost', error })
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
    const obituary = this.#recentlyLost.get(boot)
    const member = [...this.cluster.members()].find(({ report }) => report.boot === boot)
    // a host is believed about its own workers only
    const left = obituary?.host_id === host_id ? obituary.tasks : []
    const running = member?.report.host_id === host_id ? this.#on(member).map(({ task }) => task) : []
    const tasks = new Set([...left, ...running])
    if (left.length > 0) this.#recentlyLost.delete(boot)
    for (const task of tasks) {
      if (task.ended && task.state !== 'failed') continue
      const course = this.#course(task)
      course.deaths++
      task.trace('death', { boot, signal, deaths: course.deaths })
      if (course.deaths < CRASH_LIMIT) continue
      this.#poisons.add(task.request)
      this.events.add('poison', { task: task.id, user: task.user.name, deaths: course.deaths })
      task.stop(poison())
    }
  }

  /** Whether an attempt of ours runs under this number on the member. */
  has(member: Member, remote: string): boolean {
    return this.#on(member).some(attempt => attempt.remote === remote)
  }

  #on(member: Member): Attempt[] {
    return [...(this.#running.get(member) ?? [])]
  }

  #count(member: Member, change: (attempts: Set<Attempt>) => void): void {
    const attempts = this.#running.get(member) ?? new Set()
    change(attempts)
    member.running = attempts.size
    if (attempts.size > 0) this.#running.set(member, attempts)
    else this.#running.delete(member)
  }

  close(): void {
    this.#stopWatching()
  }

  #course(task: Task): RetryState {
    let course = this.#courses.get(task)
    if (!course) {
      const { prefix_ids } = task.request.generate
      course = {
        ids: [...(prefix_ids ?? [])],
        seamless: true,
        attempts: 0,
        tokensAtStart: 0,
        failuresInARow: 0,
        moves: 0,
        pauses: 0,
        notBefore: 0,
        deaths: 0,
        digest: task.request.digest,
        avoid: undefined,
      }
      this.#courses.set(task, course)
    }
    return course
  }

  #attempt(task: Task, course: RetryState, member: Member): Attempt {
    const proved = () => {
      // a retry that produces tokens no longer counts towards the retry limit, so another one may start
      if (this.#retrying.delete(attempt)) this.onFree()
    }
    const attempt: Attempt = new Attempt(task, member, course.attempts, course, () => this.clock.now(), proved)
    return attempt
  }

  #begin(task: Task, course: RetryState, choice: Choice): Promise<'ended' | 'again'> {
    const { member, why, candidates, scores } = choice
    course.attempts++
    course.tokensAtStart = task.completion_tokens
    const attempt = this.#attempt(task, course, member)
    const { strategy } = this.routing
    task.trace('routed', { strategy, worker: member.name, why, candidates, scores, attempt: course.attempts })
    task.starts(member.name, member.model?.name ?? task.request.model ?? '')
    if (course.deaths > 0 && member.running === 0) member.alone = true
    this.routing.used(member)
    return this.#run(task, course, attempt, attempt.run(this.#request(task, course, member)))
  }

  /** Waits for the end of an attempt, and acts on its outcome. */
  async #run(task: Task, course: RetryState, attempt: Attempt, work: Promise<Outcome>): Promise<'ended' | 'again'> {
    const { member } = attempt
    this.#count(member, attempts => attempts.add(attempt))
    member.given++
    this.routing.update(member)
    this.#active++
    if (course.failuresInARow > 0) this.#retrying.add(attempt)
    const outcome = await work
    this.#retrying.delete(attempt)
    this.#active--
    this.#count(member, attempts => attempts.delete(attempt))
    member.alone = false
    this.routing.update(member)
    if (attempt.remote !== undefined) task.trace('remote', { worker: member.name, task: attempt.remote })
    return this.#after(task, course, attempt, outcome)
  }

  #after(task: Task, course: RetryState, attempt: Attempt, outcome: Outcome): 'ended' | 'again' {
    const { member } = attempt
    if (outcome.how === 'ended') {
      this.cluster.good(member)
      this.affinity.note(task.request, task.session, task.answer.text(), member)
      task.settle()
      return 'ended'
    }
    if (outcome.how === 'failed' || task.signal.aborted) {
      task.settle(task.signal.aborted ? (task.signal.reason as Error) : outcome.error)
      return 'ended'
    }
    const { error, orderly = false, blame = false, pause_ms } = outcome
    if (pause_ms !== undefined) this.#pause(member, course, pause_ms, error)
    else if (blame || (!orderly && !member.left)) this.cluster.failed(member, error)
    else if (orderly && !attempt.producedTokens && !member.left) this.cluster.refused(member)
    if (attempt.producedTokens) {
      course.failuresInARow = 0
      if (!orderly) course.moves++
      course.digest ??= member.report.models.find(model => model.name === task.model)?.digest
    }
    if (pause_ms === undefined && !orderly) course.failuresInARow++
    if (error instanceof FsError && error.is('upstreamFailed')) {
      const wait = this.#backoff(course.failuresInARow)
      course.notBefore = this.clock.now() + wait
      this.clock.after(wait, () => this.onFree(), true)
    }
    const why = this.#stuck(task, course)
    if (why) {
      task.trace('given-up', { worker: member.name, why, error: error.message })
      task.settle(final(error, task.completion_tokens))
      return 'ended'
    }
    course.avoid = orderly ? undefined : member.id
    task.waits(error, { attempt: attempt.number })
    return 'again'
  }

  /** Why a task whose attempt broke off cannot go on; undefined if it can. */
  #stuck(task: Task, course: RetryState): string | undefined {
    const { tries, resumes } = this.settings.retry
    if (course.pauses > limits.PAUSES) return `${course.pauses} pauses`
    if (course.failuresInARow >= tries + (task.completion_tokens > 0 ? 1 : 0)) return `${course.failuresInARow} tries`
    if (task.answer.length === 0 && task.completion_tokens === 0) return undefined
    if (course.moves > resumes) return `${resumes} resumes`
    const { schema, tools } = task.request.generate
    if (schema !== undefined || tools !== undefined) return 'the text follows a schema or tools'
    if (!course.seamless || !course.digest) return 'its tokens have no ids, or its model has no digest'
    return undefined
  }

  /**
   * Gives a member no requests for as long as it asks, within bounds: for longer each time the same task meets a pause.
   */
  #pause(member: Member, course: RetryState, ms: number, error: Error): void {
    const wait = Math.min(Math.max(ms, this.#backoff(++course.pauses)), limits.MOST_PAUSE_MS)
    member.pausedUntil = Math.max(member.pausedUntil, this.clock.now() + wait)
    member.pausedWhy = error
    this.events.add('worker-paused', { worker: member.name, seconds: Math.ceil(wait / 1000), error: error.message })
    this.routing.update(member)
    const again = () => {
      this.routing.update(member)
      this.onFree()
    }
    this.clock.after(wait, again, true)
  }

  /** How long to wait before the nth retry, in ms. It is random, so that many tasks do not retry at once. */
  #backoff(n: number): number {
    const most = Math.min(limits.BACKOFF_MS * 2 ** Math.max(0, n - 1), limits.MOST_BACKOFF_MS)
    return most * (0.5 + this.random() / 2)
  }

  /**
   * Why a task cannot run in time: every worker that could answer it has asked for a pause that is longer than the task
   * may wait.
   */
  #paused(task: Task): Error | undefined {
    const now = this.clock.now()
    const { model } = task.request
    let first: Member | undefined
    for (const member of this.cluster.members()) {
      if (!member.serving || (model !== undefined && !member.has(model))) continue
      if (member.pausedUntil <= now) return undefined
      if (!first || member.pausedUntil < first.pausedUntil) first = member
    }
    if (!first) return undefined
    const waited = now - (task.waitingSince ?? now)
    const left = Math.min(this.settings.queue.ttl_s * 1000 - waited, task.left_ms)
    return first.pausedUntil - now > left ? first.pausedWhy : undefined
  }

  /**
   * The request as the member gets it. A worker only takes note of some of its fields; a cluster that joined as one
   * routes by them.
   */
  #request(task: Task, course: RetryState, member: Member): string {
    const { request, id, session, answer, user } = task
    const given = course.ids.length > 0 && course.digest
    const via: Via = {
      cluster: this.cluster.id,
      task: id,
      attempt: course.attempts,
      ...(session !== undefined && { session }),
      ...(answer.length > 0 && { given: answer.text() }),
      proof: this.cluster.proofs.of(member.id, { task: id, attempt: course.attempts, user, session }),
    }
    const plain = this.cluster.plain()
    // a cluster below would answer a request that names no model with one of its own choice
    const { model, type, model_hint } = request
    const names = !(model ?? type ?? model_hint) && member.report.kind === 'cluster' && member.has(plain)
    const sent: Request = {
      ...request,
      ...(names && { model: plain }),
      generate: { ...request.generate, ...(given && { prefix_ids: course.ids }) },
      ...(given && { digest: course.digest }),
      session: undefined,
      deadline_ms: undefined,
      priority: task.priority,
      keep_s: limits.KEEP_S,
      via: [...(request.via ?? []), via],
    }
    return requestJson(sent, task.asked)
  }

  /** Finds workers that have gone silent in the middle of an answer. */
  #watch(): void {
    const now = this.clock.now()
    for (const member of this.cluster.members()) {
      // a cluster takes as long to find a hung worker below it, and then starts again on another: it is not hung itself
      // yet
      const levels = 1 + member.report.clusters.length
      for (const attempt of this.#on(member)) {
        const prefill = limits.PREFILL_SILENCE_MS + attempt.task.size * limits.PREFILL_SILENCE_PER_CHARACTER_MS
        const waits = attempt.position > 0 ? limits.TOKEN_SILENCE_MS : 0
        const silence = attempt.producedTokens ? limits.TOKEN_SILENCE_MS : prefill + waits
        const patience = levels > 1 ? levels * Math.max(silence, prefill) : silence
        const patient = Math.max(patience, member.report.patience_s * 1000)
        if (now - attempt.heard < patient) continue
        // a silent upstream says nothing about the worker, nor about its other answers
        if (member.remote) {
          const why = `${member.name} received nothing from it for ${Math.round(patient / 1000)} s`
          attempt.giveUp({ how: 'lost', error: fail('upstreamFailed', why) })
          continue
        }
        this.cluster.hung(member, `task ${attempt.task.id} produced no token for ${Math.round(patience / 1000)} s`)
        break
      }
    }
  }
}

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
