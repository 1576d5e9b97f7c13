/** The default number of tokens of context for each slot, and what the operator should know about it. */

/**
 * Most tokens of a slot by default: enough for an answer of usual length, and what a common model keeps in a GB or
 * less.
 */
const MOST = 8_192
/** A slot with fewer tokens is of no use. Also the step in which llama.cpp sizes contexts. */
const STEP = 256

/** Bytes of memory of the machine and of its GPUs. */
export interface Memory {
  readonly cpuRam: number
  readonly gpuVram: number
}

/** Whether something fits into a share (0 to 1) of the free memory. */
export const fits = (needs: Memory, free: Memory, share = 1): boolean =>
  needs.cpuRam <= free.cpuRam * share && needs.gpuVram <= free.gpuVram * share

/**
 * The default number of tokens of a slot: 8,192, or what the model was trained for, or what takes half of the free
 * memory, whichever is least.
 * @param costs returns the memory that the context takes with that many tokens per slot; more tokens never take less
 */
export function defaultContext(trained: number, costs: (context: number) => Memory, free: Memory): number {
  const most = Math.min(MOST, trained)
  if (most <= STEP || fits(costs(most), free, 0.5)) return most
  let least = 1
  let steps = Math.floor(most / STEP)
  while (least < steps) {
    const half = Math.ceil((least + steps) / 2)
    if (fits(costs(half * STEP), free, 0.5)) least = half
    else steps = half - 1
  }
  return least * STEP
}

const more = "'context N' in the worker's ctl or engine.context gives more"

/**
 * The note in `status` about a model's context; undefined if there is nothing to say.
 * @param asked the context that was set explicitly, if any
 */
export function contextNote(trained: number, context: number, asked: number | undefined): string | undefined {
  if (context > trained)
    return `context ${context}: beyond the ${trained} tokens that the model was trained on, answers make no sense`
  if (asked !== undefined || context === trained) return undefined
  const why = context < Math.min(MOST, trained) ? 'half of the free memory' : 'the default'
  return `context ${context} of ${trained} is ${why}; ${more}`
}
