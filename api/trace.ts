/** The lines of `task/N/trace`: what happened to an exchange, and what was decided about it (docs/files.md#task). */
import { record, type Value } from '../fs/base/quote.js'

/** Each step with its attributes. The first attribute of all is `ms`: when, since the submission. */
export const steps = {
  submitted: ['user', 'session', 'type', 'model_hint', 'via'],
  /** A member was chosen: among which candidates, and why. */
  routed: ['strategy', 'worker', 'why', 'candidates', 'scores', 'attempt'],
  /** After a restart the exchange was found on the worker that still has it. */
  found: ['worker', 'remote', 'attempt'],
  started: ['worker', 'model'],
  /** Its number on the worker. */
  remote: ['worker', 'task'],
  prefill: ['prompt_tokens', 'reused_tokens'],
  'first-token': ['ttft_ms'],
  lost: ['worker', 'tokens', 'error', 'attempt'],
  resumed: ['worker', 'at'],
  /** It may have crashed the worker. */
  death: ['boot', 'signal', 'deaths'],
  'given-up': ['worker', 'why', 'error'],
  ended: ['state', 'prompt_tokens', 'completion_tokens', 'tok_s', 'error'],
} as const

export type Step = keyof typeof steps
/** The attributes of a step, as they are written. */
export type StepAttributes<S extends Step> = { readonly [K in (typeof steps)[S][number]]?: Value | undefined }

/** Formats a line, with its newline. @param ms when, since the submission */
export const traceLine = <S extends Step>(step: S, ms: number, attrs: StepAttributes<S>): string =>
  `${record(step, { ms, ...attrs })}\n`
