import type { SaidEvent } from '../../api/answer.js'
import { type Cancel, type Clock, systemClock } from '../../fs/clock.js'
import { FsError, fail } from '../../fs/errors.js'
import type { User } from '../../fs/file.js'
import type { Exchange } from '../../fs/kit/exchange.js'
import { Log } from '../../fs/kit/log.js'
import type { Spill } from '../../fs/kit/spill.js'
import { record, type Value } from '../../fs/quote.js'
import type { Budget, Hold } from './budget.js'
import type { EndReason, Sampling } from './generation.js'
import { COPIES, MAX_ANSWER } from './limits.js'
import type { Request } from './request.js'

export type TaskState = 'queued' | 'prefill' | 'running' | 'done' | 'failed' | 'cancelled'

const CANCELLED = fail('cancelled').message

/** Trace lines one task may write: a failing peer must not fill the memory with them. */
const MAX_TRACE = 1000

/** What a token's id is counted with, which is kept to go on from. */
const ID_BYTES = 8

export interface TaskOptions {
  id: string
  user: User
  request: Request
  /** What the user wrote. */
  prompt: string
  sampling: Sampling
  /** What of that somebody has asked for. */
  asked: Partial<Sampling>
  /** Where it is to run, as far as that is known. */
  worker: string
  session?: string | undefined
  clock?: Clock
  budget: Budget
  spill: Spill | undefined
  /** What its request and its prompt were counted with: it goes with the task. */
  hold: Hold
  /** Bytes that these take. */
  bytes: number
  /** Called once, when it has ended in any way. */
  onEnd(task: Task): void
}

/** What is known at the end of a generation. */
export interface Counts {
  reason?: EndReason | undefined
  prompt_tokens?: number | undefined
  completion_tokens?: number | undefined
  /** Where it was made this is known best: on its way tokens bunch up. */
  tok_s?: number | undefined
  calls?: readonly unknown[] | undefined
}

/**
 * One exchange, from its submission to its last token and for a while after: what `task/N/` shows. It owns two logs that
 * readers wait on, the answer's text and the NDJSON of its events. Whoever runs it tells it what happens: `starts`, `prefilled`,
 * `token`, `counts`, and at last `settle`.
 */
export class Task implements Exchange {
  readonly answer: Log
  readonly stream: Log
  readonly id: string
  readonly user: User
  prompt: string
  readonly sampling: Sampling
  readonly asked: Partial<Sampling>
  readonly session: string | undefined
  /** Set anew once, when an earlier turn it waited for has ended. */
  request: Request
  worker: string
  model: string | undefined
  state: TaskState = 'queued'
  priority: number
  /** Its turn: see Queue. */
  rank = 0
  /** Places before it in the queue, 0 once it is first or running. */
  position = 0
  eta_s: number | undefined
  /** Since when it waits without having got on, by the clock. */
  waitingSince: number | undefined
  /** Attempts that were begun, and how many of them went on where another had broken off. */
  tries = 0
  resumed = 0
  prompt_tokens: number | undefined
  /** Of the prompt, those that have been evaluated. */
  prefill_tokens: number | undefined
  reused_tokens: number | undefined
  completion_tokens = 0
  ttft_ms: number | undefined
  tok_s: number | undefined
  error: Error | undefined
  /** What the last attempt broke off with. */
  cause: Error | undefined
  reason: EndReason | undefined
  /** When it ended, by the clock. */
  endedAt: number | undefined
  readonly #hold: Hold
  /** Bytes that its request and its prompt take. */
  #bytes: number
  readonly #spill: Spill | undefined
  readonly #release: (() => void)[]
  readonly #clock: Clock
  #onEnd: (task: Task) => void
  readonly #controller = new AbortController()
  readonly #submitted: number
  readonly #asked: number
  readonly #trace: string[] = []
  #first: number | undefined
  /** Tokens that had been made elsewhere when the first of ours came: they count, but not towards the speed. */
  #given = 0
  /** The fid that it was submitted by is gone, and has not read it to the end. */
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
    this.answer = new Log(MAX_ANSWER, o.budget.hold(o.user))
    this.stream = new Log(8 * MAX_ANSWER, o.budget.hold(o.user))
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

  /** How long until its deadline, in ms. */
  get left_ms(): number {
    const { deadline_ms = Number.POSITIVE_INFINITY } = this.request
    return this.#submitted + deadline_ms - this.#clock.now()
  }

  get ended(): boolean {
    return this.endedAt !== undefined
  }

  /** Aborts, with why, when it is to end early. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Bytes of its texts in memory, about. */
  get kept(): number {
    return this.answer.held + this.stream.held + this.#asked
  }

  /** Bytes of its texts, about. */
  get size(): number {
    return this.answer.length + this.stream.length + this.#asked
  }

  /** Whether somebody has its answer open, or may come back for it. */
  get wanted(): boolean {
    return this.answer.keepers > 1 || this.stream.keepers > 1
  }

  /** Bytes that are free once it is forgotten. */
  get held(): number {
    return this.#hold.bytes + this.answer.held + this.stream.held
  }

  /** Counts more of a request that has become larger. @throws FsError `over the memory budget of this server` */
  grow(bytes: number): void {
    this.#hold.grow(COPIES * bytes)
    this.#bytes += bytes
  }

  /** It is forgotten: what nobody has open goes. */
  free(): void {
    this.#hold.free()
    for (const release of this.#release) release()
    this.#forgotten = true
    if (this.ended) this.#drop()
  }

  /** Lets go of what it was asked: whoever has one of its files open would keep that in memory, and nobody would count it. */
  #drop(): void {
    this.request = { ...this.request, generate: {}, via: undefined }
    this.prompt = ''
    this.#trace.length = 0
    this.#onEnd = () => undefined
  }

  /** Adds a line to `trace`: what was decided, and when (ms since the submission). */
  trace(event: string, attrs: Record<string, Value | undefined> = {}): void {
    if (this.#trace.length >= MAX_TRACE) return
    const ms = Math.round(this.#clock.now() - this.#submitted)
    const line = `${record(event, { ms, ...attrs })}\n`
    this.#hold.add(line.length)
    this.#trace.push(line)
  }

  traceText(): string {
    return this.#trace.join('')
  }

  /** The NDJSON event that says where in the queue it stands. */
  announce(): void {
    this.#event({
      event: 'queued',
      task: this.id,
      position: this.position,
      ...(this.eta_s !== undefined && { eta_ms: Math.round(this.eta_s * 1000) }),
    })
  }

  /** The user's own end of it. */
  cancel(): void {
    this.stop(fail('cancelled'))
  }

  /** The fid that submitted it by reading was clunked before it had read all: it ends, now or `keep_s` later. */
  abandon(): void {
    const { keep_s } = this.request
    this.abandoned = true
    if (this.ended) return
    if (keep_s === 0) this.cancel()
    else this.#keep ??= this.#clock.after(keep_s * 1000, () => this.cancel(), true)
  }

  /** When it was told to end early, by the clock. */
  stoppedAt: number | undefined

  /** Ends it early. Running, it stops within a token and whoever runs it settles it; queued, it is settled here. */
  stop(error: Error): void {
    if (this.ended || this.signal.aborted) return
    this.stoppedAt = this.#clock.now()
    this.#controller.abort(error)
    if (this.state === 'queued') this.settle(error)
  }

  /** An attempt begins. */
  starts(worker: string, model: string): void {
    this.state = 'prefill'
    this.position = 0
    this.eta_s = undefined
    this.tries++
    this.worker = worker
    this.model = model
    this.trace('started', { worker, model })
  }

  /** The attempt has broken off, and it waits for another. */
  waits(why: Error, attrs: Record<string, Value | undefined> = {}): void {
    this.state = 'queued'
    this.cause = why
    this.trace('lost', { worker: this.worker, tokens: this.completion_tokens, error: why.message, ...attrs })
  }

  /** It goes on, on the worker that the last attempt began on, where another had broken off. */
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

  /** So many tokens of the prompt have been evaluated. What goes on where it broke off has been begun long ago: that says nothing. */
  prefills(tokens: number, prompt_tokens = this.prompt_tokens): void {
    if (this.#first !== undefined) return
    this.prompt_tokens = prompt_tokens
    this.prefill_tokens = tokens
    this.#event({ event: 'prefill', tokens, prompt_tokens })
  }

  /** What makes it is at work, though there is no text: for who waits, and decides whether to go on waiting. */
  alive(): void {
    this.#event({ event: 'alive' })
  }

  /** Text that is final, with the ids it came from. */
  token(text: string, ids: readonly number[]): void {
    this.#begin()
    this.waitingSince = undefined
    this.#hold.add(ids.length * ID_BYTES)
    this.completion_tokens += ids.length || 1
    this.tok_s = this.#rate()
    this.#event({ event: 'token', text, ids })
    this.answer.append(text)
  }

  /** The generation has come to its own end. */
  counts({ reason, prompt_tokens, completion_tokens, tok_s, calls }: Counts): void {
    this.#begin()
    this.completion_tokens = completion_tokens ?? this.completion_tokens
    this.prompt_tokens = prompt_tokens ?? this.prompt_tokens
    this.tok_s = tok_s ?? this.#rate()
    this.reason = reason
    if (calls) this.#event({ event: 'tool', calls })
  }

  /** It has ended: well, or with why not. */
  settle(error?: Error): void {
    if (this.ended) return
    this.#keep?.()
    this.#deadline?.()
    this.endedAt = this.#clock.now()
    this.error = error
    const cancelled = error?.message === CANCELLED
    this.state = !error ? 'done' : cancelled ? 'cancelled' : 'failed'
    const counts = { prompt_tokens: this.prompt_tokens, completion_tokens: this.completion_tokens, tok_s: this.tok_s }
    this.trace('ended', { state: this.state, ...counts, error: error?.message })
    try {
      if (!error || cancelled) this.#event({ event: 'end', reason: error ? 'cancelled' : this.reason, ...counts })
      else this.#event({ event: 'error', error: error.message, worker: this.worker, tokens: this.completion_tokens })
      // a text ends with one newline (namespace.md, data 4); an empty one has none
      const whole = !error || (error instanceof FsError && error.is('shuttingDown'))
      // a server that ends cuts an answer at a whole line, too: nothing more comes for its reader
      if (whole && this.answer.length > 0) this.answer.append('\n')
    } catch (full) {
      // a log that is full to the byte, or a server without memory: its reader gets the error behind what there is
      this.stream.end(error ?? (full as Error))
    }
    this.answer.end(error)
    this.stream.end()
    // what it was sent to its worker as is gone
    this.#hold.shrink((COPIES - 1) * this.#bytes)
    this.#onEnd(this)
    // not before: as long as it runs its text is what another attempt goes on from, and then what its session takes
    this.answer.spillTo(this.#spill)
    if (this.#forgotten) this.#drop()
  }

  /** The first token, or an end without any. */
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
    // the first one began the time
    const made = Math.max(0, this.completion_tokens - this.#given - 1)
    return seconds > 0 ? Math.round((made / seconds) * 10) / 10 : 0
  }

  #event(event: SaidEvent): void {
    this.stream.append(`${JSON.stringify(event)}\n`)
  }

  /** The record of `task/N/status`. */
  status(): string {
    return `${record('task', {
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
