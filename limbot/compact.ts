/** Estimates how much of the model's context a conversation takes, and has the model summarise older messages. */
import { AnswerReader } from '../api/answer.js'
import { FsError, received } from '../api/errors.js'
import { requestText } from '../api/request.js'
import { drain } from '../cli/files.js'
import type { Fid } from '../fs/client/client.js'
import { ORDWR } from '../fs/wire/protocol.js'
import type { Message } from './conversation.js'

/** Tokens per character, until an answer gives a measured value. */
const PER_LETTER = 0.3
/** The most recent exchanges that are never summarised, if there is room. */
const KEPT = 2

const ASK = `Summarise our conversation so far, so that you can continue from the summary: facts, names, numbers, decisions, and requests that are still open. Be brief.`
const HEAD = 'Summary of the conversation so far:'

const letters = (messages: readonly Message[]): number => messages.reduce((n, { content }) => n + content.length, 0)

/** Estimates how many tokens a conversation takes, and decides when it no longer fits the context. */
export class Room {
  /** The size of the model's context in tokens; 0 if unknown. */
  context = 0
  #perLetter = PER_LETTER

  /** Adjusts the estimate: an answer reported this many tokens for these messages. */
  learn(tokens: number, messages: readonly Message[], system: string): void {
    const n = letters(messages) + system.length
    if (tokens > 0 && n > 0) this.#perLetter = tokens / n
  }

  /** Raises the estimate, because messages that should have fitted did not. */
  missed(): void {
    this.#perLetter *= 1.5
  }

  /** The estimated tokens of messages and a system prompt. */
  tokens(messages: readonly Message[], system = ''): number {
    return Math.ceil((letters(messages) + system.length) * this.#perLetter)
  }

  /** Whether a message would fit the context alone, without any earlier messages. */
  holds(content: string, system: string): boolean {
    return this.context === 0 || this.tokens([{ role: 'user', content }], system) < this.context
  }

  /** Tokens to leave free for the answer. */
  reserve(max_tokens = 1024): number {
    return Math.min(max_tokens, Math.floor(this.context / 4))
  }

  /**
   * Decides whether older messages must be summarised before the next message fits.
   * @returns how many of the newest messages stay unchanged; undefined if everything fits, or there is nothing to
   * summarise
   */
  keep(messages: readonly Message[], next: string, system: string, max_tokens?: number): number | undefined {
    // a message that is too long by itself is refused anyway; nothing is summarised for it
    if (this.context === 0 || !this.holds(next, system)) return undefined
    const question: Message = { role: 'user', content: next }
    if (this.tokens([...messages, question], system) + this.reserve(max_tokens) <= this.context) return undefined
    return this.kept(messages)
  }

  /**
   * How many of the newest messages stay unchanged when the others are summarised: up to KEPT exchanges that together
   * take no more than a third of the context.
   * @returns undefined if there is nothing to summarise
   */
  kept(messages: readonly Message[]): number | undefined {
    let kept = Math.min(2 * KEPT, messages.length - 2)
    while (kept > 0 && this.context > 0 && this.tokens(messages.slice(-kept)) > this.context / 3) kept -= 2
    kept = Math.max(0, kept)
    return messages.length - kept < 2 ? undefined : kept
  }
}

export interface SummaryOptions {
  readonly messages: readonly Message[]
  readonly model: string | undefined
  readonly worker: string | undefined
  readonly room: Room
  readonly signal: AbortSignal
}

/**
 * Has the model summarise messages. If they do not all fit its context, it gets the newest of them.
 * @returns messages to put in their place, and the tokens that the summary takes
 * @throws FsError with the reason why there is no summary
 */
export async function summary(root: Fid, o: SummaryOptions): Promise<{ messages: Message[]; tokens: number }> {
  const { room } = o
  const max_tokens = room.context > 0 ? Math.max(32, Math.floor(room.context / 6)) : 512
  let shown = [...o.messages]
  for (;;) {
    while (room.context > 0 && shown.length > 2 && room.tokens(shown) + max_tokens > room.context * 0.9)
      shown = shown.slice(2)
    try {
      const { text, tokens } = await generated(root, o, shown, max_tokens)
      if (text.trim() === '') throw received('the model returned an empty summary')
      return {
        messages: [
          { role: 'user', content: `${HEAD}\n\n${text.trim()}` },
          { role: 'assistant', content: 'I will continue from there.' },
        ],
        tokens,
      }
    } catch (error) {
      if (!(error instanceof FsError && error.is('contextFull')) || shown.length <= 2) throw error
      shown = shown.slice(2)
    }
  }
}

async function generated(
  root: Fid,
  { model, worker, signal }: SummaryOptions,
  messages: readonly Message[],
  max_tokens: number,
): Promise<{ text: string; tokens: number }> {
  const request = requestText({
    messages: [...messages.map(({ role, content }) => ({ role, content })), { role: 'user', content: ASK }],
    max_tokens,
    ...(model && { model }),
  })
  const reader = new AnswerReader('server')
  let text = ''
  let tokens = 0
  const take = async (data: Uint8Array) => {
    for (const event of reader.take(data)) {
      if (event.event === 'token') text += event.text
      if (event.event === 'end') tokens = event.completion_tokens ?? 0
      if (event.event === 'error') throw received(event.error)
    }
  }
  const fid = await root.walk([...(worker ? [worker] : []), 'generate'], signal)
  try {
    await fid.open(ORDWR, signal)
    await fid.write(0, Buffer.from(request), signal)
    await drain(fid, take, signal)
  } finally {
    await fid.clunk().catch(() => {})
  }
  return { text, tokens }
}
