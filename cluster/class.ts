/** The classes of workers that a host can start. */
import { hostStatus } from '../api/status.js'

/** A class of workers that a host can start: the model they hold and the resources they need. */
export interface WorkerClass {
  readonly name: string
  /** A name in models/, or a path. If omitted, the worker waits for `load` in its ctl. */
  readonly model?: string | undefined
  /** What the model is for, such as `code`: requests of that `type` go to these workers first. `text` if omitted. */
  readonly type?: string | undefined
  /** Answers that the worker generates at once. */
  readonly slots: number
  /** Tokens of context for each answer, and the type of its KV cache. If omitted, as in the plain settings. */
  readonly context?: number | undefined
  readonly kv_type?: string | undefined
  /**
   * 0 to 100: plain prompts go to the workers with the highest value first. 0 if omitted, so these workers come last.
   */
  readonly prefer?: number | undefined
  /** Bytes of memory that it needs; 0: not known, and not checked. */
  readonly memory: number
  /** Processors that it needs, which is also its number of threads (at least one). 0: the engine decides. */
  readonly cores: number
}

/** Formats a class as a record of a host's `status`. */
export const classRecord = ({ name, model, type, slots, context, kv_type, prefer, memory, cores }: WorkerClass) =>
  hostStatus.line('class', { name, model, type, slots, context, kv_type, prefer, memory, cores })
