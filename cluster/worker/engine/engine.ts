/**
 * The engine seam: the one place where text is made. Three live behind it: `llama` (llama.cpp in this process), `openai` (any
 * server with that API) and `echo` (deterministic, for tests and simulation). Nothing above it knows which.
 */
import { type FsError, fail } from '../../../fs/errors.js'
import type { EndReason, GenerateRequest } from '../../root/generation.js'

export type { ChatMessage, EndReason, GenerateRequest, Sampling } from '../../root/generation.js'

/** What an engine says of the model it holds. */
export interface ModelInfo {
  /** The name requests use: a model file's name without `.gguf`, or the remote server's name for it. */
  readonly name: string
  /** Bytes of the file; 0 where there is none. */
  readonly size: number
  /** Tokens that fit, prompt and answer together; 0 where unknown. */
  readonly context: number
  /** What a person should know of it, such as that it could hold more. */
  readonly note?: string | undefined
  /**
   * `sha256:…` of the file: tokens of one digest may be continued by another engine of the same digest. Empty: they may not,
   * or not yet (a large file takes a while to read).
   */
  readonly digest: string
}

/** What a generation yields, in this order: one `start`, any number of `prefill`, any number of `token`, one `end`; between these, `alive`. */
export type TokenChunk =
  | {
      readonly event: 'start'
      /** Tokens of the prompt, and how many of them were found in the slot's KV cache and not evaluated again. */
      readonly prompt_tokens: number
      readonly reused: number
    }
  | {
      /** How many tokens of the prompt are in the KV cache by now; only of a prompt that takes its time. */
      readonly event: 'prefill'
      readonly tokens: number
    }
  | {
      /** Something has come that is no text: a server elsewhere is at work on it. Every few seconds at most. */
      readonly event: 'alive'
    }
  | {
      /**
       * Text that is final and the ids it came from: the two always cover the same ground, so that prompt + all ids so far
       * continue exactly where all text so far ends.
       */
      readonly event: 'token'
      readonly text: string
      readonly ids: readonly number[]
    }
  | {
      readonly event: 'end'
      readonly reason: EndReason
      /** All tokens of the answer, with `prefix_ids` and without the one that ended it. */
      readonly completion_tokens: number
      /** Where it became known only now (engine `openai`); `start` said 0. */
      readonly prompt_tokens?: number
      readonly calls?: readonly { readonly name: string; readonly arguments: unknown }[]
    }

export interface Engine {
  readonly model: ModelInfo
  /** Generations that can run at once; more wait inside `generate`, in order. */
  readonly slots: number
  /**
   * Runs one request. Cancelled by `signal` within one token (the iterator then throws the signal's reason) and by returning
   * from the iterator early. Text is held back while it could still become part of a stop string, a trailing newline or a
   * character (namespace.md, data 4), together with its ids.
   * @throws FsError `context full`, `bad argument: …` (schema the engine cannot obey), `i/o error: …` from a remote engine
   */
  generate(request: GenerateRequest, signal: AbortSignal): AsyncIterable<TokenChunk>
  /** Of an engine whose text is made by a server elsewhere; absent where this process makes it. */
  readonly remote?: Remote
  /** One vector per text, all of one length. @throws FsError where the model cannot */
  embed(texts: readonly string[], signal: AbortSignal): Promise<Float32Array[]>
  /** Frees the model. Generations still running end with `shutting down`. */
  close(): Promise<void>
}

/** A server elsewhere that makes the text. */
export interface Remote {
  /** How long an answer may bring nothing before the engine gives it up, in ms. */
  readonly silence_ms: number
  /** Asks whether it would answer, without a prompt, which may cost money. @throws FsError why it would not, within seconds */
  check(signal: AbortSignal): Promise<void>
}

/** What a text that does not fit fails with. @param what `prompt 3456 tokens` @param context tokens there is room for */
export const contextFull = (what: string, context: number): FsError =>
  fail('contextFull', `${what}, context ${context}; shorten it, or load a model that holds more`)
