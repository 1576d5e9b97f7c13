/** The types of a generation request, shared by requests, sessions and engines. */

/** One message of a conversation. */
export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant' | 'tool'
  readonly content: string
}

/** How the next token is chosen. The ranges are checked before a request reaches an engine. */
export interface Sampling {
  /** 0 is greedy. */
  readonly temperature: number
  readonly top_p: number
  /** 0 keeps all tokens. */
  readonly top_k: number
  readonly min_p: number
  readonly seed: number | undefined
  readonly max_tokens: number
  readonly stop: readonly string[]
}

/** A function that the model may call. */
export interface Tool {
  readonly name: string
  readonly description?: string
  /** JSON schema of the arguments. */
  readonly parameters?: unknown
}

/** One request to an engine. */
export interface GenerateRequest extends Sampling {
  /** Either a conversation, or `prompt`, which is raw text without a chat template; never both. */
  readonly messages?: readonly ChatMessage[]
  readonly prompt?: string
  /** A JSON schema that the answer must obey. */
  readonly schema?: unknown
  readonly tools?: readonly Tool[]
  /**
   * Ids of tokens that were already given out for this request, to continue from without a seam. They count towards
   * max_tokens.
   */
  readonly prefix_ids?: readonly number[]
}

/** Why a generation ended. */
export type EndReason = 'stop' | 'length' | 'tool'
