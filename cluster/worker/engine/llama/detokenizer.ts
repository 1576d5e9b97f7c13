/** Converts tokens to text one by one. */
import type { LlamaModel, Token } from 'node-llama-cpp'

/** Tokens before a token that affect its text (a leading space, in some vocabularies). */
const LOOK_BACK = 3
/** If a character is still incomplete after this many tokens, it never will be complete: the longest has 4 bytes. */
const LONGEST = 8

/**
 * Converts tokens to text one by one, with the preceding tokens as context. The text of a character comes with its last
 * token.
 */
export class Detokenizer {
  #before: Token[]
  #pending: Token[] = []

  /** @param before the preceding tokens: those of the prompt */
  constructor(
    readonly model: LlamaModel,
    before: readonly Token[],
  ) {
    this.#before = before.slice(-LOOK_BACK)
  }

  /** Adds a token. @returns the text that is complete with it, or '' */
  push(token: Token): string {
    this.#pending.push(token)
    const text = this.model.detokenize(this.#pending, false, this.#before)
    if (text.endsWith('\ufffd') && this.#pending.length < LONGEST) return ''
    this.#before = [...this.#before, ...this.#pending].slice(-LOOK_BACK)
    this.#pending = []
    return text
  }
}
