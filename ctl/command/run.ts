import type { Run } from '../common/command.js'

/** `run MODEL [TEXT…]`: limbot with that model, for those who know it from ollama. */
export const run: Run = async (io, [model, ...words], options) =>
  (await import('../../limbot/run.js')).run(io, words, { ...options, model })
