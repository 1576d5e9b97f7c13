import { type AnswerEvent, MAX_LINE, parseAnswerEvent } from '../../api/answer.js'
import { Unfit } from '../../api/field.js'
import { Lines } from '../../api/text.js'
import type { Fid } from '../../fs/client.js'
import { type ErrorCode, type FsError, fail, received, toFsError } from '../../fs/errors.js'
import { ORDWR, OREAD } from '../../fs/protocol.js'
import type { Task } from '../root/task.js'
import type { Member } from './member.js'

/** How an attempt came out: the answer is whole, or fails for good, or broke off so that another worker may go on. */
export type Outcome =
  | { how: 'ended' }
  | { how: 'failed'; error: Error }
  /** `orderly`: the worker gave it up, as one does that is shut down; it counts against nobody. `blame`: it broke the rules. `pause_ms`: it
   * wants to be asked again no sooner than that. */
  | { how: 'lost'; error: Error; orderly?: boolean; blame?: boolean; pause_ms?: number }

/** The tokens of an answer so far. */
export interface Given {
  readonly ids: number[]
  /** Whether these are all: text without ids cannot be gone on from. */
  seamless: boolean
}

/** Bytes asked for at a time. */
const PIECE = 64 * 1024
const encoder = new TextEncoder()

/** What a worker says of the request, which no other would take, and of itself, so that another may. */
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

/**
 * One try at a task on one worker: the request written to its `generate`, the events read from it and told to the task. Once it
 * is over, or given up, nothing of it reaches the task any more.
 */
export class Attempt {
  /** The task's number over there, once it has said so. */
  remote: string | undefined
  /** When it was last heard of, by the clock. */
  heard: number
  /** Places before it in the worker's own queue. */
  position = 0
  /** Tokens of the prompt that are evaluated. */
  #prefilled = 0
  /** Whether this attempt has given tokens. */
  gave = false
  readonly #abort = new AbortController()
  #fid: Fid | undefined
  readonly #lines = new Lines('its stream', MAX_LINE)
  #outcome: Outcome | undefined
  #calls: readonly unknown[] | undefined
  /** Tokens of the stream that the task has already: an attempt that is found again is read from its beginning. */
  #skip = 0

  constructor(
    readonly task: Task,
    readonly member: Member,
    /** Its number, from 1: what an earlier one says is nobody's. */
    readonly number: number,
    /** What the task has been given, by this attempt and those before it. */
    readonly given: Given,
    readonly now: () => number,
    /** Called when it gives its first token. */
    readonly onGave: () => void,
  ) {
    this.heard = now()
  }

  /** Writes the request, and reads to the end. Never rejects. */
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
          // a request that is one message leaves behind the open, and the first read behind it: one round trip in all
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

  /** Goes on with an exchange that is on the worker since before we were: reads its stream. Never rejects. */
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

  /** Ends it from our side with that outcome; the worker is told to stop. */
  giveUp(outcome: Outcome): void {
    if (this.#outcome) return
    this.#outcome = outcome
    this.#abort.abort(fail('cancelled'))
  }

  async #settle(work: (signal: AbortSignal) => Promise<void>): Promise<Outcome> {
    const { task } = this
    const stop = () => this.giveUp({ how: 'failed', error: task.signal.reason as Error })
    if (task.signal.aborted) stop()
    else task.signal.addEventListener('abort', stop, { once: true })
    try {
      await work(this.#abort.signal)
    } catch (thrown) {
      this.#outcome ??= this.#broken(toFsError(thrown))
    } finally {
      task.signal.removeEventListener('abort', stop)
      this.#leave()
    }
    return this.#outcome ?? { how: 'lost', error: fail('badMessage', 'the stream ended without an end'), blame: true }
  }

  /** What a failure of reading, writing or opening means. */
  #broken(error: FsError): Outcome {
    // what the worker answered to our request is for the user; everything about the connection is not
    if (refusals.some(code => error.is(code))) return { how: 'failed', error }
    const wait = error.is('upstreamBusy') ? /\d+(?= s\b)/.exec(error.message) : undefined
    if (wait) return { how: 'lost', error, pause_ms: Number(wait[0]) * 1000 }
    return { how: 'lost', error, orderly: busy.some(code => error.is(code)), blame: error.is('badMessage') }
  }

  /** Reads to the end, or until it is given up: then the clunk that follows ends the read that waits. */
  #follow(fid: Fid, first: Uint8Array, signal: AbortSignal): Promise<void> {
    // one listener for all the reads, for one of each costs more than a token
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
    try {
      for (const line of this.#lines.take(piece)) {
        if (this.#outcome) return
        this.#event(parseAnswerEvent(line))
      }
    } catch (error) {
      throw error instanceof Unfit ? fail('badMessage', error.message) : error
    }
  }

  #event(event: AnswerEvent): void {
    const { task } = this
    // what brings nothing on does not count as a sign of life
    const idle =
      event.event === 'prefill' ||
      (event.event === 'queued' && event.position === this.position) ||
      (event.event === 'alive' && this.member.report.patience_s === 0)
    if (!idle) this.heard = this.now()
    switch (event.event) {
      case 'queued':
        this.remote = event.task ?? this.remote
        this.position = event.position ?? 0
        return
      case 'prefill':
        return this.#prefill(event.tokens ?? 0, event.prompt_tokens ?? 0)
      case 'start':
        if (event.model !== undefined) task.model = event.model
        return task.prefilled(event.prompt_tokens, event.reused_tokens)
      case 'alive':
        return task.alive()
      case 'token':
        return this.#token(event.text, event.ids)
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

  /** A hundredth at a time: a worker that says more of it, or the same again, is as good as silent. */
  #prefill(tokens: number, prompt_tokens: number): void {
    if (tokens > prompt_tokens) throw fail('badMessage', `${tokens} of ${prompt_tokens} tokens of the prompt`)
    if (tokens - this.#prefilled < Math.max(1, prompt_tokens / 100)) return
    this.#prefilled = tokens
    this.heard = this.now()
    this.task.prefills(tokens, prompt_tokens)
  }

  #token(text: string, ids: readonly number[]): void {
    if (text === '' && ids.length === 0) throw fail('badMessage', 'a token event with nothing in it')
    const { task } = this
    if (this.#skip > 0) {
      // whole events were given before, for only whole ones are
      this.#skip -= ids.length || 1
      if (this.#skip < 0) throw fail('badMessage', 'its stream is not the one that was read before')
      return
    }
    if (task.completion_tokens + ids.length > task.sampling.max_tokens)
      throw fail('badMessage', `more than the ${task.sampling.max_tokens} tokens it was asked for`)
    const first = !this.gave
    if (first) {
      this.gave = true
      if (task.completion_tokens > 0) task.resumes()
    }
    for (const id of ids) this.given.ids.push(id)
    if (ids.length === 0) this.given.seamless = false
    try {
      task.token(text, ids)
    } catch (error) {
      // we have no room for more of it: no other worker would change that
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
      throw fail('badMessage', `it counts ${completion_tokens} tokens and has given ${task.completion_tokens}`)
    if (!this.gave && task.completion_tokens > 0) task.resumes()
    const counts = { reason, prompt_tokens, completion_tokens, tok_s }
    try {
      task.counts({ ...counts, ...(this.#calls && { calls: this.#calls }) })
      this.#outcome = { how: 'ended' }
    } catch (error) {
      this.#outcome = { how: 'failed', error: error as Error }
    }
  }

  /** Leaves the worker as if nobody had asked: what it still makes is stopped there. */
  #leave(): void {
    const fid = this.#fid
    if (!fid) return
    const over = this.#outcome?.how === 'ended' || this.member.left
    fid.clunk().catch(() => undefined)
    if (!over && this.remote !== undefined) void this.#remove(this.remote)
  }

  async #remove(remote: string): Promise<void> {
    try {
      const root = await this.member.peer.as(this.task.user)
      // one turn: a connection that is being closed still carries it
      await root.ask(['task', remote], fid => fid.remove())
    } catch {
      // it is gone, or its worker is
    }
  }
}
