import type { ClassAttributes } from '../api/report.js'
import { record } from '../fs/quote.js'

/** A kind of worker that a host can start: what it holds and what it needs. */
export interface WorkerClass {
  readonly name: string
  /** A name in models/, or a path; without one it waits for `load` in its ctl. */
  readonly model?: string | undefined
  /** What that is for, such as `code`: requests of that `type` go there first. Without one, `text`. */
  readonly type?: string | undefined
  /** Answers it makes at once. */
  readonly slots: number
  /** Tokens of context for each, and how it is kept. Without them, as the plain settings say. */
  readonly context?: number | undefined
  readonly kv_type?: string | undefined
  /** 0 to 100: plain prompts go to the workers with the highest first, and to those with none last. Without one, 0. */
  readonly prefer?: number | undefined
  /** Bytes of memory it needs; 0: not known, and not checked. */
  readonly memory: number
  /** Processors it needs; it computes with as many threads, at least one. 0: the engine says. */
  readonly cores: number
}

/** The class that is always there, made from the plain settings. */
export const DEFAULT_CLASS = 'default'

/** A class as a record of a host's `status`. */
export const classRecord = ({ name, model, type, slots, context, kv_type, prefer, memory, cores }: WorkerClass) =>
  record('class', { name, model, type, slots, context, kv_type, prefer, memory, cores } satisfies ClassAttributes)
