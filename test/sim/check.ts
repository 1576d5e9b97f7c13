/** Checks what simulated clients read against the one right answer. */
import { type FsError, received } from '../../api/errors.js'

/** An observation that must never be made. */
export class Wrong extends Error {
  override name = 'Wrong'
}

/** A request to the echo engine: these words, repeated, up to this many tokens. */
export interface Asked {
  readonly words: readonly string[]
  readonly count: number
  /** Ends the answer before this token, by a stop string. */
  readonly stop?: number
  readonly max_tokens?: number
}

/**
 * The one right answer. Token i is ` i:WORD`, the first without the space, and its id is i
 * (cluster/worker/engine/echo.ts).
 */
export class Answer {
  /** How many tokens it has. */
  readonly length: number
  readonly reason: 'stop' | 'length'
  readonly text: string

  constructor(readonly asked: Asked) {
    const { count, stop = count, max_tokens = count } = asked
    this.length = Math.min(count, stop, max_tokens)
    // the token with the stop string must be made for the engine to see it
    this.reason = max_tokens < count && (asked.stop === undefined || max_tokens <= asked.stop) ? 'length' : 'stop'
    this.text = Array.from({ length: this.length }, (_, i) => this.token(i)).join('')
  }

  token(i: number): string {
    const { words } = this.asked
    return `${i > 0 ? ' ' : ''}${i}:${words[i % words.length]}`
  }

  /** The prompt that is sent. */
  get prompt(): string {
    return `${this.asked.words.join(' ')} x${this.asked.count}`
  }

  /** The stop string. The number at its beginning occurs once in an answer. */
  get stop(): string | undefined {
    return this.asked.stop === undefined ? undefined : this.token(this.asked.stop)
  }
}

const decoder = new TextDecoder()

/**
 * Checks an answer's text as `data` gives it, byte by byte: at all times it must be the beginning of the right answer.
 */
export class TextReader {
  /** Bytes read. */
  at = 0
  readonly #right: Uint8Array

  constructor(readonly answer: Answer) {
    this.#right = new TextEncoder().encode(`${answer.text}${answer.length > 0 ? '\n' : ''}`)
  }

  /** @param offset where the bytes were read: a second read of the same offset must give the same bytes */
  take(offset: number, bytes: Uint8Array): void {
    const right = this.#right.subarray(offset, offset + bytes.length)
    if (bytes.length !== right.length || bytes.some((byte, i) => byte !== right[i]))
      throw new Wrong(`at ${offset}: read ${show(bytes)}, right is ${show(right)}`)
    this.at = Math.max(this.at, offset + bytes.length)
  }

  /** How many whole tokens were read. */
  get tokens(): number {
    let length = 0
    let i = 0
    while (i < this.answer.length && (length += this.answer.token(i).length) <= this.at) i++
    return i
  }

  end(): void {
    if (this.at !== this.#right.length) throw new Wrong(`ended after ${this.at} bytes of ${this.#right.length}`)
  }

  /** The answer broke off: N in `worker lost after N tokens` must be the number of tokens read. */
  broke(error: FsError): void {
    lost(error.message, this.tokens)
  }
}

/** Checks the lines of `generate`: each event must stand where it may, and the ids 0 to n-1 must come once each. */
export class StreamReader {
  at = 0
  /** The number of the task at the server. */
  task: string | undefined
  /** The error that the stream ended with. */
  error: string | undefined
  ended = false
  tokens = 0
  moves = 0
  cancelled = false
  #started = false
  #bytes: Uint8Array[] = []
  #rest = ''

  constructor(readonly answer: Answer) {}

  take(offset: number, bytes: Uint8Array): void {
    const before = join(this.#bytes)
    const again = bytes.subarray(0, Math.max(0, this.at - offset))
    if (again.some((byte, i) => byte !== before[offset + i]))
      throw new Wrong(
        `at ${offset}: read ${show(again)}, before it was ${show(before.subarray(offset, offset + again.length))}`,
      )
    const fresh = bytes.slice(again.length)
    if (fresh.length === 0) return
    this.#bytes = [before, fresh]
    this.at += fresh.length
    const lines = (this.#rest + decoder.decode(fresh)).split('\n')
    this.#rest = lines.pop()!
    for (const line of lines) this.#line(line)
  }

  end(): void {
    if (this.#rest !== '') throw new Wrong(`ends in half a line: ${this.#rest}`)
    if (!this.ended) throw new Wrong(`ended without saying so, after ${this.tokens} tokens`)
  }

  broke(error: FsError): void {
    lost(error.message, this.tokens)
  }

  #line(line: string): void {
    const wrong = (why: string) => new Wrong(`${why}, after ${this.tokens} tokens: ${line}`)
    if (this.ended) throw wrong('a line behind the end')
    let event: Record<string, unknown>
    try {
      event = JSON.parse(line)
    } catch {
      throw wrong('not JSON')
    }
    switch (event.event) {
      case 'queued':
        this.task ??= event.task as string
        if (event.task !== this.task) throw wrong('another task')
        return
      case 'start':
        if (this.#started) throw wrong('started twice')
        this.#started = true
        return
      case 'token':
        return this.#token(event, wrong)
      case 'resume':
        if (event.at !== this.tokens) throw wrong('resumed elsewhere')
        this.moves++
        return
      case 'end':
        return this.#end(event, wrong)
      case 'error':
        if (event.tokens !== this.tokens) throw wrong('a wrong count of good tokens')
        if (!isRow(event.error as string)) throw wrong('no row of the table of errors')
        lost(event.error as string, this.tokens)
        this.error = event.error as string
        this.ended = true
        return
      default:
        throw wrong('an unknown event')
    }
  }

  #token(event: Record<string, unknown>, wrong: (why: string) => Error): void {
    if (!this.#started) throw wrong('a token before the start')
    const ids = event.ids as number[]
    let text = ''
    for (const id of ids) {
      if (id !== this.tokens) throw wrong(`id ${id}, right is ${this.tokens}`)
      if (id >= this.answer.length) throw wrong('more tokens than were asked for')
      text += this.answer.token(id)
      this.tokens++
    }
    if (event.text !== text) throw wrong(`text, right is ${JSON.stringify(text)}`)
  }

  #end(event: Record<string, unknown>, wrong: (why: string) => Error): void {
    this.ended = true
    if (event.reason === 'cancelled') {
      this.cancelled = true
      return
    }
    if (this.tokens !== this.answer.length) throw wrong(`ended early, ${this.answer.length} are right`)
    if (event.reason !== this.answer.reason) throw wrong(`the reason, right is ${this.answer.reason}`)
    if (this.answer.asked.stop === undefined && event.completion_tokens !== this.answer.length)
      throw wrong('a wrong count')
  }
}

/** Whether an error's text begins like a row of the table of errors. */
export const isRow = (message: string) => received(message).code !== undefined

function lost(message: string, tokens: number): void {
  const [, said] = /^worker lost after (\d+) tokens/.exec(message) ?? []
  if (said !== undefined && Number(said) !== tokens) throw new Wrong(`${message}: there are ${tokens}`)
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!
  const out = new Uint8Array(parts.reduce((n, part) => n + part.length, 0))
  let at = 0
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}

const show = (bytes: Uint8Array) => JSON.stringify(decoder.decode(bytes.subarray(0, 200)))
