/** How many tokens of context each slot gets where nobody says, and what a person should know about the number. */

/** Tokens a slot gets at most: what an answer of usual length needs, and what a common model keeps in a GB or less. */
const MOST = 8_192
/** Tokens below which a slot is of no use, and the step in which llama.cpp makes contexts. */
const STEP = 256

/** Bytes of memory, of the machine and of its GPUs. */
export interface Memory {
  readonly cpuRam: number
  readonly gpuVram: number
}

/** Whether something fits into a share (0 to 1) of what is free. */
export const fits = (needs: Memory, free: Memory, share = 1): boolean =>
  needs.cpuRam <= free.cpuRam * share && needs.gpuVram <= free.gpuVram * share

/**
 * The tokens of a slot: 8,192, or what the model was trained for, or what takes half of the free memory, whichever is least.
 * @param costs what the context takes with so many tokens a slot; more tokens never take less
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
 * What `status` says of a model's context; undefined where there is nothing to say.
 * @param asked what somebody set
 */
export function contextNote(trained: number, context: number, asked: number | undefined): string | undefined {
  if (context > trained)
    return `context ${context}: past the ${trained} tokens it was trained for, answers make no sense`
  if (asked !== undefined || context === trained) return undefined
  const why = context < Math.min(MOST, trained) ? 'half of the free memory' : 'the default'
  return `context ${context} of ${trained} is ${why}; ${more}`
}
