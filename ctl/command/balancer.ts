/** `llamboctl balancer`: shows how prompts are distributed over the workers. */
import type { Run } from '../../cli/command.js'
import { control } from './control.js'
import { run as nodes } from './nodes.js'

/** Prints the strategy, as the line of `ctl` that would set it, and then the workers with their load. */
export const run: Run = async (io, args, options) => {
  await control('strategy')(io, [], options)
  await nodes(io, args, options)
}
