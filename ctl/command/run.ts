/** `llamboctl run MODEL [TEXT…]`: starts limbot with that model, under the name that users of ollama know. */
import type { Run } from '../../cli/command.js'

export const run: Run = async (io, [model, ...words], options) =>
  (await import('../../limbot/run.js')).run(io, words, { ...options, model })
