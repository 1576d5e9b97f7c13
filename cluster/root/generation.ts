/** What is asked of a model: the words that a request, a session and an engine share. */

export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant' | 'tool'
  readonly content: string
}

/** How the next token is chosen. Ranges are checked before a request reaches an engine. */
export interface Sampling {
  /** 0 is greedy. */
  readonly temperature: number
  readonly top_p: number
  /** 0: all. */
  readonly top_k: number
  readonly min_p: number
  readonly seed: number | undefined
  readonly max_tokens: number
  readonly stop: readonly string[]
}

export interface Tool {
  readonly name: string
  readonly description?: string
  /** JSON schema of the arguments. */
  readonly parameters?: unknown
}

export interface GenerateRequest extends Sampling {
  /** A conversation, or `prompt`: raw text without a chat template. Exactly one of the two. */
  readonly messages?: readonly ChatMessage[]
  readonly prompt?: string
  /** JSON schema the answer must obey. */
  readonly schema?: unknown
  readonly tools?: readonly Tool[]
  /** Token ids that were already given out for this request, to go on from without a seam; they count towards max_tokens. */
  readonly prefix_ids?: readonly number[]
}

/** Why a generation ended. */
export type EndReason = 'stop' | 'length' | 'tool'
