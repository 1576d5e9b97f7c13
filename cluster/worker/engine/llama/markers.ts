/** Keeps markers of a chat template that occur in the text of messages from being read as markers. */
import type { LlamaModel, Token, Tokenizer } from 'node-llama-cpp'

/**
 * The type of tokens that llama.cpp finds in any text. Converters give it to added tokens that are not marked as
 * special.
 */
const USER_DEFINED = 4
/** The shape of a marker: `<|user|>`, `<|tool_call>`, `<tool_call|>`, `<｜User｜>`, `</s>`. */
const shape = /^<[|｜]|[|｜]>$|^<\/?s>$/
/** A token with fewer characters is ordinary text, such as a tab or an arrow. */
const SHORTEST = 3

/**
 * The texts that would be read as markers wherever they occur: tokens of the type above that look like a marker, or
 * that the model's template writes. Other tokens of that type, such as runs of spaces or letters with accents, are
 * ordinary text.
 */
export function markersOf(model: Pick<LlamaModel, 'fileInfo'>): string[] {
  const { ggml, chat_template: template = '' } = model.fileInfo.metadata.tokenizer
  const { tokens, token_type: types = [] } = ggml
  return tokens.filter(
    (text, id) =>
      types[id] === USER_DEFINED &&
      text.length >= SHORTEST &&
      /[^\s\p{L}\p{N}]/u.test(text) &&
      (shape.test(text) || template.includes(text)),
  )
}

/** Where to cut a text so that no piece contains a whole marker: after the first character of each. */
export function cuts(text: string, markers: readonly string[]): number[] {
  const at = new Set<number>()
  for (const marker of markers) {
    const first = marker.codePointAt(0)! > 0xffff ? 2 : 1
    for (let i = text.indexOf(marker); i >= 0; i = text.indexOf(marker, i + 1)) at.add(i + first)
  }
  return [...at].sort((a, b) => a - b)
}

/**
 * Wraps a tokenizer so that it reads markers only where special tokens are asked for: in what the template itself
 * writes. In other text a marker is read as two pieces, which mean the same to a person and are ordinary tokens. Text
 * without a marker is read as before.
 */
export function withoutMarkers(tokenizer: Tokenizer, markers: readonly string[]): Tokenizer {
  if (markers.length === 0) return tokenizer
  const read = (text: string, special?: boolean | 'builtin', options?: 'trimLeadingSpace'): Token[] => {
    if (special) return tokenizer(text, special as boolean, options)
    const at = cuts(text, markers)
    if (at.length === 0) return tokenizer(text, false, options)
    return [0, ...at].flatMap((from, i) =>
      // some vocabularies start a text with a space, which a piece in the middle must not get
      tokenizer(text.slice(from, at[i]), false, i === 0 ? options : 'trimLeadingSpace'),
    )
  }
  return Object.assign(read, tokenizer) as Tokenizer
}
