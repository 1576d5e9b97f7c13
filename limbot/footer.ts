/** The line of figures after an answer, and the words for what happens before it. */
import { sanitize } from '../cli/terminal/sanitize.js'
import type { Figures, Step } from './turn.js'

const figure = (n: number): string => (n >= 100 ? n.toFixed(0) : String(Math.round(n * 10) / 10))

/** Tokens of the context that an exchange has used. */
export const used = ({ prompt_tokens = 0, completion_tokens = 0 }: Figures): number => prompt_tokens + completion_tokens

/**
 * The line after an answer: `worker-0002 · mistral-7b · 412 tok · 38.2 tok/s · ttft 210 ms · ctx 23 %`.
 * @param context the size of the model's context in tokens; 0 if unknown
 */
export function footer(figures: Figures, context: number): string {
  const { worker, model, completion_tokens, tok_s, ttft_ms, resumed, reason } = figures
  const parts = [
    worker && `${worker}${resumed ? ' (took over)' : ''}`,
    model,
    completion_tokens !== undefined && `${completion_tokens} tok`,
    tok_s !== undefined && tok_s > 0 && `${figure(tok_s)} tok/s`,
    ttft_ms !== undefined && `ttft ${ttft_ms} ms`,
    context > 0 && figures.prompt_tokens !== undefined && `ctx ${Math.round((100 * used(figures)) / context)} %`,
    reason === 'length' &&
      `cut off: ${context > 0 && used(figures) >= context - 1 ? 'the context is full' : 'max_tokens'}`,
  ]
  return sanitize(parts.filter(Boolean).join(' · '))
}

/** The words for a step, shown while no text arrives; undefined for a step that shows nothing. */
export function state(step: Step): string | undefined {
  // position 0: the request starts at once
  if (step.is === 'queued' && step.position > 0)
    return step.position > 1 ? `queued (${step.position - 1} ahead)` : 'queued (next)'
  if (step.is === 'prompt') return step.share === undefined ? 'prompt' : `prompt ${Math.round(100 * step.share)} %`
  if (step.is === 'away') return 'the server is unreachable; waiting to continue the answer'
  if (step.is === 'back') return 'looking for the answer'
  return undefined
}
