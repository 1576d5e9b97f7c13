/**
 * One attempt at a task on one worker: sends the request, reads the events of the answer and passes them to the task.
 */
import { type AnswerEvent, AnswerReader } from '../../../api/answer.js'
import { type ErrorCode, type FsError, fail, received, toFsError } from '../../../api/errors.js'
import type { Fid } from '../../../fs/client/client.js'
import { ORDWR, OREAD } from '../../../fs/wire/protocol.js'
import type { Task } from '../../root/task.js'
import type { Member } from '../members/member.js'

/**
 * How an attempt ended: the answer is complete, or it has failed for good, or it broke off so that another worker may
 * continue it.
 */
export type Outcome =
  | { how: 'ended' }
  | { how: 'failed'; error: Error }
  /**
   * `orderly`: the worker gave the task up, for example because it shuts down; this is not a failure. `blame`: the
   * worker violated the protocol. `still`: the worker stands still. `pause_ms`: the worker asks for no requests for that long.
   */
  | { how: 'lost'; error: Error; orderly?: boolean; blame?: boolean; still?: boolean; pause_ms?: number }

/** The tokens of an answer so far. */
export interface GeneratedTokens {
  readonly ids: number[]
  /** Whether `ids` has all of them: an answer with text that came without ids cannot be continued elsewhere. */
  seamless: boolean
}

/** Bytes of one read. */
const PIECE = 64 * 1024
const encoder = new TextEncoder()

/**
 * Errors that are about the request, so that any other worker would refuse it too; and errors about the worker, so that
 * another may take it.
 */
const refusals: readonly ErrorCode[] = [
  'badArgument',
  'contextFull',
  'tooLarge',
  'notSupported',
  'permission',
  'poison',
  'upstreamRefused',
]
const busy: readonly ErrorCode[] = ['queueFull', 'shuttingDown', 'loading', 'noWorker', 'overMemory']

/** Once an attempt is over, or given up, nothing of it reaches the task any more. */
export class Attempt {
  /** The task's number on the worker, once the worker has reported it. */
  remote: string | undefined
  /** When it last made progress, by the clock. */
  heard: number
  /** Tasks before it in the worker's own queue. */
  position = 0
  /** When the worker could begin with the prompt, by the clock. */
  #sent: number
  /** The share of the prompt that was in the worker's cache, 0 to 1. */
  #reused = 0
  /** Tokens of the prompt that have been evaluated. */
  #prefilled = 0
  /** Whether this attempt has given tokens. */
  producedTokens = false
  readonly #abort = new AbortController()
  #fid: Fid | undefined
  readonly #reader = new AnswerReader('member')
  #outcome: Outcome | undefined
  #calls: readonly unknown[] | undefined
  /**
   * Tokens of the stream to skip, which the task has already: the stream of an exchange that was found is read from its
   * beginning.
   */
  #skip = 0

  constructor(
    readonly task: Task,
    readonly member: Member,
    /** Its number, from 1. Only the newest attempt at a task counts. */
    readonly number: number,
    /** The tokens that the task was given by this attempt and those before it. */
    readonly given: GeneratedTokens,
    readonly now: () => number,
    /** Called at its first token. */
    readonly onGave: () => void,
  ) {
    this.heard = now()
    this.#sent = this.heard
  }

  /** Writes the request to the worker's `generate`, and reads the events to their end. Never rejects. */
  run(request: string): Promise<Outcome> {
    return this.#settle(async signal => {
      const root = await this.member.peer.as(this.task.user)
      const bytes = encoder.encode(request)
      const whole = bytes.length < this.member.peer.client.msize - 64
      const begin = (fid: Fid) =>
        Promise.all([whole ? fid.write(0, bytes, signal) : undefined, fid.read(0, PIECE, signal)])
      let begun = undefined as ReturnType<typeof begin> | undefined
      const { fid } = await root.ask(
        ['generate'],
        fid => {
          const opened = fid.open(ORDWR, signal)
          // a request that fits into one message is sent right behind the open, and the first read behind that: one
          // round trip in all
          if (whole) (begun = begin(fid)).catch(() => undefined)
          return opened
        },
        signal,
      )
      this.#fid = fid
      if (!whole) await fid.write(0, bytes, signal)
      const [, first] = await (begun ?? begin(fid))
      await this.#follow(fid, first, signal)
    })
  }

  /**
   * Continues an exchange that the worker has from before: reads its stream. Never rejects.
   * @param remote the task's number on the worker
   * @param skip how many of the stream's tokens the task already has
   */
  find(remote: string, skip: number): Promise<Outcome> {
    this.remote = remote
    this.#skip = skip
    return this.#settle(async signal => {
      const root = await this.member.peer.as(this.task.user)
      const { fid } = await root.ask(['task', remote, 'stream'], fid => fid.open(OREAD, signal), signal)
      this.#fid = fid
      await this.#follow(fid, await fid.read(0, PIECE, signal), signal)
    })
  }

  /** Ends the attempt from our side with this outcome, and stops it on the worker. */
  giveUp(outcome: Outcome): void {
    if (this.#outcome) return
    this.#outcome = outcome
    this.#abort.abort(fail('cancelled'))
  }

  async #settle(work: (signal: AbortSignal) => Promise<void>): Promise<Outcome> {
    const { task } = this
    const over = task.onStop(error => this.giveUp({ how: 'failed', error }))
    try {
      await work(this.#abort.signal)
    } catch (thrown) {
      this.#outcome ??= this.#broken(toFsError(thrown))
    } finally {
      over()
      this.#leave()
    }
    return (
      this.#outcome ?? {
        how: 'lost',
        error: fail('badMessage', 'event stream closed without an end event'),
        blame: true,
      }
    )
  }

  /** The outcome after a failed open, write or read. */
  #broken(error: FsError): Outcome {
    // what a worker says about the request is for the user; an error of the connection is not
    if (refusals.some(code => error.is(code))) return { how: 'failed', error }
    const wait = error.is('upstreamBusy') ? /\d+(?= s\b)/.exec(error.message) : undefined
    if (wait) return { how: 'lost', error, pause_ms: Number(wait[0]) * 1000 }
    return { how: 'lost', error, orderly: busy.some(code => error.is(code)), blame: error.is('badMessage') }
  }

  /** Reads to the end, or until the attempt is given up: then the clunk that follows ends the pending read. */
  #follow(fid: Fid, first: Uint8Array, signal: AbortSignal): Promise<void> {
    // one listener for all reads: a listener for each read would cost more than a token does
    const givenUp = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    })
    return Promise.race([this.#read(fid, first), givenUp])
  }

  async #read(fid: Fid, first: Uint8Array): Promise<void> {
    let piece = first
    for (let at = 0; piece.length > 0 && !this.#outcome; ) {
      at += piece.length
      this.#take(piece)
      if (this.#outcome) return
      piece = await fid.read(at, PIECE)
    }
  }

  #take(piece: Uint8Array): void {
    for (const event of this.#reader.take(piece)) {
      if (this.#outcome) return
      this.#event(event)
    }
  }

  #event(event: AnswerEvent): void {
    const { task } = this
    // an event without progress is not a sign of life
    const idle =
      event.event === 'prefill' ||
      (event.event === 'queued' && event.position === this.position) ||
      (event.event === 'alive' && this.member.report.patience_s === 0)
    const gap = this.now() - this.heard
    if (!idle) {
      this.heard += gap
      this.member.still = false
    }
    switch (event.event) {
      case 'queued':
        this.remote = event.task ?? this.remote
        this.position = event.position ?? 0
        this.#sent = this.now()
        return
      case 'prefill':
        return this.#prefill(event.tokens ?? 0, event.prompt_tokens ?? 0)
      case 'start':
        if (event.model !== undefined) task.model = event.model
        this.#reused = (event.reused_tokens ?? 0) / (event.prompt_tokens || 1)
        return task.prefilled(event.prompt_tokens, event.reused_tokens)
      case 'alive':
        return task.alive()
      case 'token':
        return this.#token(event.text, event.ids, gap)
      case 'tool':
        this.#calls = event.calls
        return
      case 'resume':
        return
      case 'end':
        return this.#end(event)
      case 'error':
        this.#outcome = this.#broken(received(event.error))
    }
  }

  /**
   * Takes progress in steps of a hundredth: a worker that reports smaller steps, or the same again, counts as silent.
   */
  #prefill(tokens: number, prompt_tokens: number): void {
    if (tokens > prompt_tokens) throw fail('badMessage', `worker reported ${tokens} of ${prompt_tokens} prompt tokens`)
    if (tokens - this.#prefilled < Math.max(1, prompt_tokens / 100)) return
    this.#prefilled = tokens
    this.heard = this.now()
    this.task.prefills(tokens, prompt_tokens)
  }

  #token(text: string, ids: readonly number[], gap: number): void {
    if (text === '' && ids.length === 0) throw fail('badMessage', 'empty token event')
    const { task } = this
    if (this.#skip > 0) {
      // the task has been given whole events only, so the tokens to skip end where an event does
      this.#skip -= ids.length || 1
      if (this.#skip < 0) throw fail('badMessage', 'the event stream differs from the one that was read before')
      return
    }
    if (task.completion_tokens + ids.length > task.sampling.max_tokens)
      throw fail('badMessage', `worker sent more than the ${task.sampling.max_tokens} tokens requested`)
    const first = !this.producedTokens
    if (!first) this.member.pace.token(gap)
    else {
      this.member.pace.first(this.heard - this.#sent, task.size, this.#reused)
      this.producedTokens = true
      if (task.completion_tokens > 0) task.resumes()
    }
    for (const id of ids) this.given.ids.push(id)
    if (ids.length === 0) this.given.seamless = false
    try {
      task.token(text, ids)
    } catch (error) {
      // this server has no room for more of the answer: another worker would not change that
      this.#outcome = { how: 'failed', error: error as Error }
      return
    }
    if (first) this.onGave()
  }

  #end({ reason, prompt_tokens, completion_tokens, tok_s }: Extract<AnswerEvent, { event: 'end' }>): void {
    const { task } = this
    if (reason === 'cancelled') {
      this.#outcome = { how: 'failed', error: fail('cancelled') }
      return
    }
    if (completion_tokens !== undefined && completion_tokens < task.completion_tokens)
      throw fail('badMessage', `worker reported ${completion_tokens} tokens but sent ${task.completion_tokens}`)
    if (!this.producedTokens && task.completion_tokens > 0) task.resumes()
    const counts = { reason, prompt_tokens, completion_tokens, tok_s }
    try {
      task.counts({ ...counts, ...(this.#calls && { calls: this.#calls }) })
      this.#outcome = { how: 'ended' }
    } catch (error) {
      this.#outcome = { how: 'failed', error: error as Error }
    }
  }

  /** Cleans up on the worker: clunks the fid, and removes the remote task if it is still running. */
  #leave(): void {
    const fid = this.#fid
    if (!fid) return
    const over = this.#outcome?.how === 'ended' || this.member.left
    fid.drop()
    if (!over && this.remote !== undefined) void this.#remove(this.remote)
  }

  async #remove(remote: string): Promise<void> {
    try {
      const root = await this.member.peer.as(this.task.user)
      // the walk and the remove are sent together: a connection that is being closed still carries both
      await root.ask(['task', remote], fid => fid.remove())
    } catch {
      // the task is gone already, or its worker is
    }
  }
}
