/** One exchange, from its submission to its last token: what `task/N/` shows. */

import type { EndReason, SaidEvent } from '../../api/answer.js'
import { FsError, fail } from '../../api/errors.js'
import type { Request } from '../../api/request.js'
import type { Sampling } from '../../api/sampling.js'
import { taskStatus } from '../../api/task.js'
import type { Step, StepAttributes } from '../../api/trace.js'
import { type Cancel, type Clock, systemClock } from '../../fs/base/clock.js'
import type { User } from '../../fs/file.js'
import { AppendLog } from '../../fs/kit/append-log.js'
import type { Spill } from '../../fs/kit/spill.js'
import type { Budget, BudgetShare } from './budget.js'
import type { Exchange } from './exchange.js'
import { COPIES, MAX_ANSWER } from './limits.js'
import { Stop } from './stop.js'
import { Trace } from './trace.js'

export type TaskState = 'queued' | 'prefill' | 'running' | 'done' | 'failed' | 'cancelled'

/** What a kept token id counts. Ids are kept so that another attempt can go on from them. */
const ID_BYTES = 8

export interface TaskOptions {
  id: string
  user: User
  request: Request
  /** The text that the user wrote. */
  prompt: string
  sampling: Sampling
  /** The part of `sampling` that somebody has set explicitly. */
  asked: Partial<Sampling>
  /** The worker it is to run on, as far as that is known. */
  worker: string
  session?: string | undefined
  clock?: Clock
  budget: Budget
  spill: Spill | undefined
  /** Counts the request and the prompt; freed with the task. */
  hold: BudgetShare
  /** Bytes that request and prompt take. */
  bytes: number
  /** Called once, when the task has ended in any way. */
  onEnd(task: Task): void
}

/** The figures at the end of a generation. */
export interface Counts {
  reason?: EndReason | undefined
  prompt_tokens?: number | undefined
  completion_tokens?: number | undefined
  /** The worker that generates measures this best: tokens bunch up on their way. */
  tok_s?: number | undefined
  calls?: readonly unknown[] | undefined
}

/**
 * One exchange, from its submission to its last token and for a while after. It owns two logs that readers wait on: the
 * text of the answer, and the NDJSON of its events. Whatever runs the task reports its progress: `starts`, `prefilled`,
 * `token`, `counts`, and at last `settle`.
 */
export class Task implements Exchange {
  readonly answer: AppendLog
  readonly stream: AppendLog
  readonly id: string
  readonly user: User
  prompt: string
  readonly sampling: Sampling
  readonly asked: Partial<Sampling>
  readonly session: string | undefined
  /** Replaced once, when the earlier turn it waited for has ended. */
  request: Request
  worker: string
  model: string | undefined
  state: TaskState = 'queued'
  priority: number
  /** Its turn in the queue: see Queue. */
  rank = 0
  /** How many tasks are before it in the queue; 0 if it is first, or running. */
  position = 0
  eta_s: number | undefined
  /** Since when it waits without progress, by the clock. */
  waitingSince: number | undefined
  /** Attempts started, and how many of them continued an answer that another attempt had broken off. */
  tries = 0
  resumed = 0
  prompt_tokens: number | undefined
  /** How many tokens of the prompt have been evaluated. */
  prefill_tokens: number | undefined
  reused_tokens: number | undefined
  completion_tokens = 0
  ttft_ms: number | undefined
  tok_s: number | undefined
  error: Error | undefined
  /** The error that the last attempt failed with. */
  cause: Error | undefined
  reason: EndReason | undefined
  /** When it ended, by the clock. */
  endedAt: number | undefined
  readonly #hold: BudgetShare
  /** Bytes that its request and its prompt take. */
  #bytes: number
  readonly #spill: Spill | undefined
  readonly #release: (() => void)[]
  readonly #clock: Clock
  #onEnd: (task: Task) => void
  readonly #stop = new Stop()
  readonly #submitted: number
  readonly #asked: number
  readonly #trace: Trace
  #first: number | undefined
  /**
   * Tokens that were generated elsewhere before our first one. They count as completion tokens, but not towards the
   * speed.
   */
  #given = 0
  /** Whether the fid that submitted it was clunked before the answer was read to the end. */
  abandoned = false
  #keep: Cancel | undefined
  #deadline: Cancel | undefined
  #forgotten = false

  constructor(o: TaskOptions) {
    this.id = o.id
    this.user = o.user
    this.request = o.request
    this.prompt = o.prompt
    this.sampling = o.sampling
    this.asked = o.asked
    this.worker = o.worker
    this.session = o.session
    this.#hold = o.hold
    this.#bytes = o.bytes
    this.#trace = new Trace(o.hold)
    this.answer = new AppendLog(MAX_ANSWER, o.budget.hold(o.user))
    this.stream = new AppendLog(8 * MAX_ANSWER, o.budget.hold(o.user))
    this.stream.spillTo(o.spill)
    this.#spill = o.spill
    this.#release = [this.answer.keep(), this.stream.keep()]
    this.#clock = o.clock ?? systemClock
    this.#onEnd = o.onEnd
    this.#submitted = this.#clock.now()
    this.priority = o.request.priority
    const { messages = [], prefix_ids = [] } = o.request.generate
    this.#asked = messages.reduce((n, m) => n + m.content.length, o.prompt.length)
    this.completion_tokens = this.#given = prefix_ids.length
    const { type, model_hint, deadline_ms, via } = o.request
    const from = via?.map(({ cluster, task }) => `${cluster}/${task}`).join(' ')
    this.trace('submitted', { user: o.user.name, session: o.session, type, model_hint, via: from })
    if (deadline_ms !== undefined)
      this.#deadline = this.#clock.after(deadline_ms, () => this.stop(fail('deadline', deadline_ms)))
  }

  /** Time until its deadline, in ms. */
  get left_ms(): number {
    const { deadline_ms = Number.POSITIVE_INFINITY } = this.request
    return this.#submitted + deadline_ms - this.#clock.now()
  }

  get ended(): boolean {
    return this.endedAt !== undefined
  }

  /** Why it is to end early; undefined if it is not. */
  get stopped(): Error | undefined {
    return this.#stop.reason
  }

  /** Calls `call` when it is to end early, or at once if it is. @returns a function that withdraws that */
  onStop(call: (reason: Error) => void): Cancel {
    return this.#stop.on(call)
  }

  /** Aborted, with the reason, when the task is to end early; for engines. */
  get signal(): AbortSignal {
    return this.#stop.signal
  }

  /** Bytes of its texts in memory, approximately. */
  get kept(): number {
    return this.answer.held + this.stream.held + this.#asked
  }

  /** Bytes of its texts, approximately. */
  get size(): number {
    return this.answer.length + this.stream.length + this.#asked
  }

  /** Whether somebody has its answer open, or may come back for it. */
  get wanted(): boolean {
    return this.answer.keepers > 1 || this.stream.keepers > 1
  }

  /** Bytes that forgetting it would free. */
  get held(): number {
    return this.#hold.bytes + this.answer.held + this.stream.held
  }

  /** Counts more bytes for a request that has grown. @throws FsError `over the memory budget of this server` */
  grow(bytes: number): void {
    this.#hold.grow(COPIES * bytes)
    this.#bytes += bytes
  }

  /** Forgets the task: everything that nobody has open is freed. */
  free(): void {
    this.#hold.free()
    for (const release of this.#release) release()
    this.#forgotten = true
    if (this.ended) this.#drop()
  }

  /**
   * Drops the request and the prompt. A program that has one of its files open would keep them in memory, uncounted.
   */
  #drop(): void {
    this.request = { ...this.request, generate: {}, via: undefined }
    this.prompt = ''
    this.#trace.clear()
    this.#onEnd = () => undefined
  }

  /** Adds a line to `trace`: what was decided, and when, in ms since the submission. */
  trace<S extends Step>(step: S, attrs: StepAttributes<S>): void {
    this.#trace.add(step, this.#clock.now() - this.#submitted, attrs)
  }

  traceText(): string {
    return this.#trace.text()
  }

  /** Writes the NDJSON event with its position in the queue. */
  announce(): void {
    this.#event({
      event: 'queued',
      task: this.id,
      position: this.position,
      ...(this.eta_s !== undefined && { eta_ms: Math.round(this.eta_s * 1000) }),
    })
  }

  /** Ends it on the user's request. */
  cancel(): void {
    this.stop(fail('cancelled'))
  }

  /**
   * Called when the fid that submitted it by reading was clunked before everything was read. The task ends, now or
   * `keep_s` seconds later.
   */
  abandon(): void {
    const { keep_s } = this.request
    this.abandoned = true
    if (this.ended) return
    if (keep_s === 0) this.cancel()
    else this.#keep ??= this.#clock.after(keep_s * 1000, () => this.cancel(), true)
  }

  /** When it was told to end early, by the clock. */
  stoppedAt: number | undefined

  /**
   * Ends it early. A running task stops within a token, and whatever runs it calls `settle`; a queued task is settled
   * here.
   */
  stop(error: Error): void {
    if (this.ended || this.stopped) return
    this.stoppedAt = this.#clock.now()
    this.#stop.request(error)
    if (this.state === 'queued') this.settle(error)
  }

  /** Called when an attempt starts. */
  starts(worker: string, model: string): void {
    this.state = 'prefill'
    this.position = 0
    this.eta_s = undefined
    this.tries++
    this.worker = worker
    this.model = model
    this.trace('started', { worker, model })
  }

  /** Called when the attempt has failed and the task waits for another one. */
  waits(why: Error, attrs: Pick<StepAttributes<'lost'>, 'attempt'> = {}): void {
    this.state = 'queued'
    this.cause = why
    this.trace('lost', { worker: this.worker, tokens: this.completion_tokens, error: why.message, ...attrs })
  }

  /** Called when the current attempt continues an answer that an earlier attempt had broken off. */
  resumes(): void {
    this.resumed++
    this.trace('resumed', { worker: this.worker, at: this.completion_tokens })
    this.#event({ event: 'resume', worker: this.worker, at: this.completion_tokens })
  }

  prefilled(prompt_tokens: number | undefined, reused_tokens: number | undefined): void {
    this.prompt_tokens = prompt_tokens
    this.reused_tokens = reused_tokens
    this.trace('prefill', { prompt_tokens, reused_tokens })
  }

  /**
   * Reports how many tokens of the prompt have been evaluated. Ignored once an answer has begun: an attempt that
   * continues one evaluates its beginning again, which would tell the reader nothing.
   */
  prefills(tokens: number, prompt_tokens = this.prompt_tokens): void {
    if (this.#first !== undefined) return
    this.prompt_tokens = prompt_tokens
    this.prefill_tokens = tokens
    this.#event({ event: 'prefill', tokens, prompt_tokens })
  }

  /**
   * Tells readers that the engine is at work although there is no text, so that they can decide whether to keep
   * waiting.
   */
  alive(): void {
    this.#event({ event: 'alive' })
  }

  /** Adds final text, with the token ids it came from. */
  token(text: string, ids: readonly number[]): void {
    this.#begin()
    this.waitingSince = undefined
    this.#hold.add(ids.length * ID_BYTES)
    this.completion_tokens += ids.length || 1
    this.tok_s = this.#rate()
    this.#event({ event: 'token', text, ids })
    this.answer.append(text)
  }

  /** Takes the figures of a generation that ended by itself. */
  counts({ reason, prompt_tokens, completion_tokens, tok_s, calls }: Counts): void {
    this.#begin()
    this.completion_tokens = completion_tokens ?? this.completion_tokens
    this.prompt_tokens = prompt_tokens ?? this.prompt_tokens
    this.tok_s = tok_s ?? this.#rate()
    this.reason = reason
    if (calls) this.#event({ event: 'tool', calls })
  }

  /** Ends the task: successfully, or with the error that ended it. */
  settle(error?: Error): void {
    if (this.ended) return
    this.#keep?.()
    this.#deadline?.()
    this.endedAt = this.#clock.now()
    this.error = error
    const cancelled = error instanceof FsError && error.is('cancelled')
    this.state = !error ? 'done' : cancelled ? 'cancelled' : 'failed'
    const counts = { prompt_tokens: this.prompt_tokens, completion_tokens: this.completion_tokens, tok_s: this.tok_s }
    this.trace('ended', { state: this.state, ...counts, error: error?.message })
    try {
      if (!error || cancelled) this.#event({ event: 'end', reason: error ? 'cancelled' : this.reason, ...counts })
      else this.#event({ event: 'error', error: error.message, worker: this.worker, tokens: this.completion_tokens })
      // the answer ends with one newline (docs/files.md, data); an empty answer has none
      const whole = !error || (error instanceof FsError && error.is('shuttingDown'))
      // a server that shuts down completes the line too: the reader gets nothing more
      if (whole && this.answer.length > 0) this.answer.append('\n')
    } catch (full) {
      // the log is full to the byte, or the server has no memory left: the reader gets the error after what there is
      this.stream.end(error ?? (full as Error))
    }
    this.answer.end(error)
    this.stream.end()
    // the copies that were sent to its worker are gone
    this.#hold.shrink((COPIES - 1) * this.#bytes)
    this.#onEnd(this)
    // not before: while it runs, another attempt may go on from its text, and onEnd copies the text into the session
    this.answer.spillTo(this.#spill)
    if (this.#forgotten) this.#drop()
  }

  /** Called at the first token, or at an end without tokens. */
  #begin(): void {
    this.state = 'running'
    if (this.#first !== undefined) return
    this.#first = this.#clock.now()
    this.ttft_ms = Math.round(this.#first - this.#submitted)
    this.trace('first-token', { ttft_ms: this.ttft_ms })
    this.#event({
      event: 'start',
      worker: this.worker,
      model: this.model,
      ttft_ms: this.ttft_ms,
      prompt_tokens: this.prompt_tokens,
      reused_tokens: this.reused_tokens,
    })
  }

  #rate(): number {
    const seconds = (this.#clock.now() - this.#first!) / 1000
    // the time starts at the first token, so that one is not counted
    const made = Math.max(0, this.completion_tokens - this.#given - 1)
    return seconds > 0 ? Math.round((made / seconds) * 10) / 10 : 0
  }

  #event(event: SaidEvent): void {
    this.stream.append(`${JSON.stringify(event)}\n`)
  }

  /** The record of `task/N/status`. */
  status(): string {
    return `${taskStatus.line('task', {
      id: this.id,
      state: this.state,
      user: this.user.name,
      worker: this.worker,
      position: this.state === 'queued' ? this.position : undefined,
      eta_s: this.state === 'queued' ? this.eta_s : undefined,
      tries: this.tries,
      resumed: this.resumed,
      prompt_tokens: this.prompt_tokens,
      prefill_tokens: this.state === 'prefill' ? this.prefill_tokens : undefined,
      reused_tokens: this.reused_tokens,
      completion_tokens: this.completion_tokens,
      ttft_ms: this.ttft_ms,
      tok_s: this.tok_s,
      session: this.session,
      reason: this.reason,
      error: this.error?.message,
    })}\n`
  }
}
