import type { LlamaModel, Token } from 'node-llama-cpp'

/** Tokens before a token that decide how it reads (a leading blank, in some vocabularies). */
const LOOK_BACK = 3
/** Tokens after which a character that is still not whole will never be: the longest is of 4 bytes. */
const LONGEST = 8

/** Makes text of tokens one by one, with those before them in view; a character's text comes with its last token. */
export class Pieces {
  #before: Token[]
  #pending: Token[] = []

  /** @param before the tokens that precede: the prompt's */
  constructor(
    readonly model: LlamaModel,
    before: readonly Token[],
  ) {
    this.#before = before.slice(-LOOK_BACK)
  }

  /** @returns the text that is whole with this token, or '' */
  push(token: Token): string {
    this.#pending.push(token)
    const text = this.model.detokenize(this.#pending, false, this.#before)
    if (text.endsWith('\ufffd') && this.#pending.length < LONGEST) return ''
    this.#before = [...this.#before, ...this.#pending].slice(-LOOK_BACK)
    this.#pending = []
    return text
  }
}
