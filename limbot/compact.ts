import { drain } from '../ctl/common/files.js'
import type { Fid } from '../fs/client.js'
import { FsError, received } from '../fs/errors.js'
import { ORDWR } from '../fs/protocol.js'
import type { Message } from './conversation.js'

/** Tokens of a letter, until an answer has told. */
const PER_LETTER = 0.3
/** Exchanges that are kept as they are. */
const KEPT = 2

const ASK = `Sum up our conversation so far, for yourself to go on from: facts, names, numbers, decisions, what was asked for and is still open. Be brief.`
const HEAD = 'What was said so far, summed up:'

const letters = (messages: readonly Message[]): number => messages.reduce((n, { content }) => n + content.length, 0)

/** What a conversation takes of the context, and when it is too much. */
export class Room {
  /** Tokens that the model's context has; 0: nobody says. */
  context = 0
  #perLetter = PER_LETTER

  /** What an answer has told: so many tokens for these messages. */
  learn(tokens: number, messages: readonly Message[], system: string): void {
    const n = letters(messages) + system.length
    if (tokens > 0 && n > 0) this.#perLetter = tokens / n
  }

  /** What was thought to fit does not. */
  missed(): void {
    this.#perLetter *= 1.5
  }

  tokens(messages: readonly Message[], system = ''): number {
    return Math.ceil((letters(messages) + system.length) * this.#perLetter)
  }

  /** Whether a message has room where nothing has been said before it. */
  holds(content: string, system: string): boolean {
    return this.context === 0 || this.tokens([{ role: 'user', content }], system) < this.context
  }

  /** Tokens that an answer is to have. */
  reserve(max_tokens = 1024): number {
    return Math.min(max_tokens, Math.floor(this.context / 4))
  }

  /**
   * How many of the last messages stay as they are, where the older ones must be summed up for another to fit.
   * @returns undefined: all fits, or there is nothing to sum up
   */
  keep(messages: readonly Message[], next: string, system: string, max_tokens?: number): number | undefined {
    // one that is too long by itself is refused, and nothing is given up for it
    if (this.context === 0 || !this.holds(next, system)) return undefined
    const question: Message = { role: 'user', content: next }
    if (this.tokens([...messages, question], system) + this.reserve(max_tokens) <= this.context) return undefined
    return this.kept(messages)
  }

  /** The last exchanges, as many as take no more than a third of the context. */
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
 * Has the model sum up messages. As many of the newest as fit are shown to it.
 * @returns messages that stand for them, and what they cost in tokens
 * @throws FsError why there is no summary
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
      if (text.trim() === '') throw received('an empty summary')
      return {
        messages: [
          { role: 'user', content: `${HEAD}\n\n${text.trim()}` },
          { role: 'assistant', content: 'I go on from there.' },
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
  const request = {
    messages: [...messages.map(({ role, content }) => ({ role, content })), { role: 'user', content: ASK }],
    max_tokens,
    ...(model && { model }),
  }
  const answer: Uint8Array[] = []
  const take = async (data: Uint8Array) => void answer.push(data)
  const fid = await root.walk([...(worker ? [worker] : []), 'generate'], signal)
  try {
    await fid.open(ORDWR, signal)
    await fid.write(0, Buffer.from(JSON.stringify(request)), signal)
    await drain(fid, take, signal)
  } finally {
    await fid.clunk().catch(() => {})
  }
  let text = ''
  let tokens = 0
  for (const line of Buffer.concat(answer).toString().split('\n').filter(Boolean)) {
    const event = JSON.parse(line)
    if (event.event === 'token') text += event.text
    if (event.event === 'end') tokens = event.completion_tokens ?? 0
    if (event.event === 'error') throw received(String(event.error))
  }
  return { text, tokens }
}
