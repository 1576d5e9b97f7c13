import { fail, toFsError } from '../../fs/errors.js'
import type { User } from '../../fs/file.js'
import type { Exchange } from '../../fs/kit/exchange.js'
import { Log } from '../../fs/kit/log.js'
import { record, type Value } from '../../fs/quote.js'
import type { EndReason, Engine, Sampling } from './engine/engine.js'
import { MAX_ANSWER } from './limits.js'
import type { Request } from './request.js'

export type TaskState = 'queued' | 'prefill' | 'running' | 'done' | 'failed' | 'cancelled'

/** Trace lines one task may write: a failing peer must not fill the memory with them. */
const MAX_TRACE = 1000

/**
 * One exchange, from its submission to its last token and for a while after: what `task/N/` shows. It owns two logs that
 * readers wait on, the answer's text and the NDJSON of its events.
 */
export class Task implements Exchange {
  readonly answer = new Log(MAX_ANSWER)
  readonly stream = new Log(8 * MAX_ANSWER)
  state: TaskState = 'queued'
  priority: number
  /** Places before it in the queue, 0 once it is first or running. */
  position = 0
  eta_s: number | undefined
  prompt_tokens: number | undefined
  reused_tokens: number | undefined
  completion_tokens = 0
  ttft_ms: number | undefined
  tok_s: number | undefined
  error: Error | undefined
  reason: EndReason | undefined
  /** When it ended, in the monotonic clock's ms. */
  endedAt: number | undefined
  readonly #controller = new AbortController()
  readonly #submitted = performance.now()
  readonly #asked: number
  readonly #trace: string[] = []
  #keep: NodeJS.Timeout | undefined
  #deadline: NodeJS.Timeout | undefined

  constructor(
    readonly id: string,
    readonly user: User,
    /** Set anew once, when an earlier turn it waited for has ended. */
    public request: Request,
    /** What the user wrote. */
    readonly prompt: string,
    readonly sampling: Sampling,
    readonly worker: string,
    readonly session: string | undefined,
    /** Called once, when it has ended in any way. */
    readonly onEnd: (task: Task) => void,
  ) {
    this.priority = request.priority
    this.#asked = (request.generate.messages ?? []).reduce((n, m) => n + m.content.length, prompt.length)
    this.trace('submitted', { user: user.name, session, type: request.type, model_hint: request.model_hint })
    if (request.deadline_ms !== undefined) {
      const { deadline_ms } = request
      this.#deadline = setTimeout(() => this.stop(fail('deadline', deadline_ms)), deadline_ms)
    }
  }

  get ended(): boolean {
    return this.endedAt !== undefined
  }

  /** Bytes it keeps, about. */
  get size(): number {
    return this.answer.length + this.stream.length + this.#asked
  }

  /** Adds a line to `trace`: what was decided, and when (ms since the submission). */
  trace(event: string, attrs: Record<string, Value | undefined> = {}): void {
    if (this.#trace.length < MAX_TRACE)
      this.#trace.push(`${record(event, { ms: Math.round(performance.now() - this.#submitted), ...attrs })}\n`)
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

  /** The fid that submitted it by reading was clunked before the end: it ends, now or `keep_s` later. */
  abandon(): void {
    const { keep_s } = this.request
    if (keep_s === 0) this.cancel()
    else this.#keep ??= setTimeout(() => this.cancel(), keep_s * 1000)
  }

  /** Ends it early. Running, its engine stops within a token and `run` settles it; queued, it is settled here. */
  stop(error: Error): void {
    if (this.ended || this.#controller.signal.aborted) return
    this.#controller.abort(error)
    if (this.state === 'queued') this.#settle(error)
  }

  /** A submission that was refused: it has the error for an answer. */
  refuse(error: Error): void {
    this.#settle(error)
  }

  /** Runs it on an engine to its end. Never rejects. */
  async run(engine: Engine): Promise<void> {
    if (this.ended) return
    this.state = 'prefill'
    this.position = 0
    this.eta_s = undefined
    this.trace('started', { worker: this.worker, model: engine.model.name })
    let first: number | undefined
    // what an engine before this one made counts as made, but not towards the speed
    const given = this.request.generate.prefix_ids?.length ?? 0
    this.completion_tokens = given
    const start = () => {
      first = performance.now()
      this.state = 'running'
      this.ttft_ms = Math.round(first - this.#submitted)
      this.trace('first-token', { ttft_ms: this.ttft_ms })
      this.#event({
        event: 'start',
        worker: this.worker,
        model: engine.model.name,
        ttft_ms: this.ttft_ms,
        prompt_tokens: this.prompt_tokens,
        reused_tokens: this.reused_tokens,
      })
    }
    try {
      for await (const chunk of engine.generate(
        { ...this.request.generate, ...this.sampling },
        this.#controller.signal,
      )) {
        if (chunk.event === 'start') {
          this.prompt_tokens = chunk.prompt_tokens
          this.reused_tokens = chunk.reused
          this.trace('prefill', { prompt_tokens: chunk.prompt_tokens, reused_tokens: chunk.reused })
        } else if (chunk.event === 'token') {
          if (first === undefined) start()
          this.completion_tokens += chunk.ids.length || 1
          this.tok_s = rate(this.completion_tokens - given, first!)
          this.#event({ event: 'token', text: chunk.text, ids: chunk.ids })
          this.answer.append(chunk.text)
        } else {
          if (first === undefined) start()
          this.completion_tokens = chunk.completion_tokens
          this.prompt_tokens = chunk.prompt_tokens ?? this.prompt_tokens
          this.tok_s = rate(this.completion_tokens - given, first!)
          this.reason = chunk.reason
          if (chunk.calls) this.#event({ event: 'tool', calls: chunk.calls })
        }
      }
      this.#settle()
    } catch (error) {
      const { signal } = this.#controller
      this.#settle(signal.aborted ? (signal.reason as Error) : toFsError(error))
    }
  }

  #settle(error?: Error): void {
    if (this.ended) return
    clearTimeout(this.#keep)
    clearTimeout(this.#deadline)
    this.endedAt = performance.now()
    this.error = error
    const cancelled = error?.message === fail('cancelled').message
    this.state = !error ? 'done' : cancelled ? 'cancelled' : 'failed'
    const counts = { prompt_tokens: this.prompt_tokens, completion_tokens: this.completion_tokens, tok_s: this.tok_s }
    this.trace('ended', { state: this.state, ...counts, error: error?.message })
    try {
      if (!error || cancelled) this.#event({ event: 'end', reason: error ? 'cancelled' : this.reason, ...counts })
      else this.#event({ event: 'error', error: error.message, worker: this.worker, tokens: this.completion_tokens })
      // a text ends with one newline (namespace.md, data 4); an empty one has none
      if (!error && this.answer.length > 0) this.answer.append('\n')
    } catch {
      // a log that is full to the byte: it ends all the same
    }
    this.answer.end(error)
    this.stream.end()
    this.onEnd(this)
  }

  #event(event: object): void {
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
      tries: this.state === 'queued' ? 0 : 1,
      resumed: 0,
      prompt_tokens: this.prompt_tokens,
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

function rate(tokens: number, since: number): number {
  const seconds = (performance.now() - since) / 1000
  return seconds > 0 ? Math.round((tokens / seconds) * 10) / 10 : 0
}
