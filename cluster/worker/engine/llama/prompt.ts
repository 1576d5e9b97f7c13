/** Renders requests with the chat template of the model. */

import type { ChatHistoryItem, ChatWrapper, LlamaModel, LlamaText, Token, Tokenizer } from 'node-llama-cpp'
import { FsError, fail } from '../../../../api/errors.js'
import type { ChatMessage, GenerateRequest } from '../../../../api/request.js'
import { bounded } from './bounded.js'
import type { Library } from './library.js'
import { markersOf, withoutMarkers } from './markers.js'

/** Longest time that a chat template may take for a few short conversations, in ms: usual ones take 50. */
const TEMPLATE_MS = 5_000
/**
 * Longest time that node-llama-cpp may take to find out which template it is, in ms. It renders hundreds of
 * conversations, which takes 7 s of a processor for some templates.
 */
const RESOLVE_MS = 120_000
/** Longest time to render a conversation, in ms: one of 200 messages and 100 KB takes 50, one message of a MiB 20. */
const RENDER_MS = 2_000

/** A request as the model reads it, and what ends its answer. */
export interface Prompt {
  readonly tokens: Token[]
  /** In addition to the model's own end-of-generation tokens. */
  readonly stopTokens: ReadonlySet<Token>
  readonly stopTexts: readonly string[]
}

/**
 * Makes prompts from requests, with the chat template in the model's file. Only what the template itself writes is read
 * for special tokens. The text of messages never is, so `<|im_end|>` in a message is ten plain characters, even if the
 * vocabulary has it as a token that is found in any text (markers.ts; needed until prompts are rendered here). No
 * system message is added to a conversation that has none (LlamaChatSession does the same for `systemPrompt: ''`, but
 * adds a text by default).
 */
export class Prompter {
  readonly wrapper: ChatWrapper
  readonly #tokenizer: Tokenizer

  /** @throws FsError `model file is damaged` for a chat template that does not end */
  constructor(
    library: Library,
    readonly model: LlamaModel,
  ) {
    const late = (ms: number) => () => fail('badModel', `its chat template did not finish within ${ms / 1000} s`)
    bounded(TEMPLATE_MS, () => sample(library, model), late(TEMPLATE_MS))
    this.wrapper = bounded(RESOLVE_MS, () => library.resolveChatWrapper(model), late(RESOLVE_MS))
    this.#tokenizer = withoutMarkers(model.tokenizer, markersOf(model))
  }

  /**
   * Makes the prompt of a request.
   * @throws FsError `bad argument` for a conversation that the model's template refuses, or for an empty raw prompt
   */
  make(request: GenerateRequest): Prompt {
    return request.messages ? this.#chat(request.messages) : this.#raw(request.prompt ?? '')
  }

  #chat(messages: readonly ChatMessage[]): Prompt {
    let state: ReturnType<ChatWrapper['generateContextState']>
    const late = () =>
      fail('badArgument', `messages: the chat template of the model did not finish within ${RENDER_MS / 1000} s`)
    try {
      state = bounded(RENDER_MS, () => this.wrapper.generateContextState({ chatHistory: history(messages) }), late)
    } catch (error) {
      if (error instanceof FsError) throw error
      throw fail(
        'badArgument',
        `messages: the chat template of the model rejects them: ${(error as Error).message}`,
        error,
      )
    }
    const stopTokens = new Set<Token>()
    const stopTexts: string[] = []
    for (const trigger of state.stopGenerationTriggers) {
      const [first] = trigger.tokenize(this.model.tokenizer)
      if (first !== undefined && this.model.isSpecialToken(first)) stopTokens.add(first)
      else stopTexts.push(plain(trigger))
    }
    return {
      tokens: state.contextText.tokenize(this.#tokenizer),
      stopTokens,
      stopTexts: stopTexts.filter(t => t !== ''),
    }
  }

  /** Raw text is all that the model reads, so special tokens are read in it: its author writes the template. */
  #raw(text: string): Prompt {
    const { bos, shouldPrependBosToken } = this.model.tokens
    const tokens = this.model.tokenize(text, true)
    if (shouldPrependBosToken && bos !== null && tokens[0] !== bos) tokens.unshift(bos)
    if (tokens.length === 0) throw fail('badArgument', 'prompt: must not be empty')
    return { tokens, stopTokens: new Set(), stopTexts: [] }
  }
}

/**
 * Renders a model's template for the few conversations that node-llama-cpp first tries it with. A failure is ignored
 * here.
 */
function sample(library: Library, model: LlamaModel): void {
  const template = model.fileInfo.metadata.tokenizer?.chat_template
  if (template === undefined) return
  try {
    new library.JinjaTemplateChatWrapper({ template, functionCallMessageTemplate: 'noJinja' })
  } catch {
    // node-llama-cpp then chooses another wrapper; that is not decided here
  }
}

const plain = (text: LlamaText) => text.values.map(v => (typeof v === 'string' ? v : v.value)).join('')

/**
 * Converts a conversation to node-llama-cpp's form. It ends with the answer to be generated, which starts with the text
 * of a last assistant message, if there is one. The result of a tool becomes a user's turn, because ChatMessage does
 * not say which call it answers.
 */
export function history(messages: readonly ChatMessage[]): ChatHistoryItem[] {
  const items = messages.map((m): ChatHistoryItem => {
    if (m.role === 'system') return { type: 'system', text: m.content }
    return m.role === 'assistant' ? { type: 'model', response: [m.content] } : { type: 'user', text: m.content }
  })
  if (items.at(-1)?.type !== 'model') items.push({ type: 'model', response: [] })
  return items
}
