/**
 * The engine interface: the one place where text is generated. It has three implementations: `llama` (llama.cpp in this
 * process), `openai` (any server with that API) and `echo` (deterministic, for tests and simulation). No caller knows
 * which one it uses.
 */
import type { EndReason } from '../../../api/answer.js'
import { type FsError, fail } from '../../../api/errors.js'
import type { GenerateRequest } from '../../../api/request.js'

/** What an engine reports about the model it holds. */
export interface ModelInfo {
  /** The name in requests: a model file's name without `.gguf`, or the remote server's name for the model. */
  readonly name: string
  /** Bytes of the file; 0 if there is none. */
  readonly size: number
  /** Tokens that fit, prompt and answer together; 0 if not known. */
  readonly context: number
  /** What the operator should know about it, such as that its context could be longer. */
  readonly note?: string | undefined
  /**
   * `sha256:…` of the file. An engine with the same digest may continue an answer from its tokens. Empty: none may, or
   * not yet (reading a large file takes a while).
   */
  readonly digest: string
}

/**
 * What a generation yields, in this order: one `start`, any number of `prefill`, any number of `token`, one `end`;
 * `alive` may come between any of them.
 */
export type TokenChunk =
  | {
      readonly event: 'start'
      /** Tokens of the prompt, and how many of them were found in the slot's KV cache and not evaluated again. */
      readonly prompt_tokens: number
      readonly reused: number
    }
  | {
      /** How many tokens of the prompt are in the KV cache so far. Only for a prompt that takes long. */
      readonly event: 'prefill'
      readonly tokens: number
    }
  | {
      /** A remote server is at work on the answer: it sent something other than text. At most every few seconds. */
      readonly event: 'alive'
    }
  | {
      /**
       * Text that is final and the ids it came from. The two always match: the prompt and all ids so far continue
       * exactly where all text so far ends.
       */
      readonly event: 'token'
      readonly text: string
      readonly ids: readonly number[]
    }
  | {
      readonly event: 'end'
      readonly reason: EndReason
      /** All tokens of the answer, including `prefix_ids` and excluding the token that ended it. */
      readonly completion_tokens: number
      /** Set if it is known only at the end (engine `openai`); `start` has 0 then. */
      readonly prompt_tokens?: number
      readonly calls?: readonly { readonly name: string; readonly arguments: unknown }[]
    }

/** A model that is loaded, or a remote server that has one. */
export interface Engine {
  readonly model: ModelInfo
  /** Generations that can run at once; more wait inside `generate`, in order. */
  readonly slots: number
  /**
   * Runs one request. It stops within one token when `signal` aborts (the iterator then throws the signal's reason) or
   * when the iterator is returned early. Text is held back, with its ids, while it could still become part of a stop
   * string, a trailing newline or a character: text that has been yielded never changes (docs/files.md, data).
   * @throws FsError `context full`, `bad argument: …` (a schema that the engine cannot obey), `i/o error: …` from llama.cpp,
   *   `the upstream refuses this`, `asks to wait` or `failed` from a remote server
   */
  generate(request: GenerateRequest, signal: AbortSignal): AsyncIterable<TokenChunk>
  /** Set if a remote server makes the text; absent if this process makes it. */
  readonly remote?: Remote
  /** Computes one vector per text, all of the same length. @throws FsError if the model cannot */
  embed(texts: readonly string[], signal: AbortSignal): Promise<Float32Array[]>
  /** Frees the model. Running generations end with `shutting down`. */
  close(): Promise<void>
}

/** A remote server that makes the text. */
export interface Remote {
  /** How long an answer may produce nothing before the engine gives it up, in ms. */
  readonly silence_ms: number
  /**
   * Checks whether the server would answer, without a prompt, which may cost money.
   * @throws FsError the reason why it would not, within seconds
   */
  check(signal: AbortSignal): Promise<void>
}

/** Makes the error for a text that does not fit. @param what `prompt 3456 tokens` @param context how many tokens fit */
export const contextFull = (what: string, context: number): FsError =>
  fail('contextFull', `${what}, context ${context}; shorten it, or load a model that holds more`)
