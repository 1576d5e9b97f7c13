import type { Run } from '../common/command.js'
import { control } from './control.js'
import { run as nodes } from './nodes.js'

/** How a worker is chosen, as a line that would set it, and what each worker has to do. */
export const run: Run = async (io, args, options) => {
  await control('strategy')(io, [], options)
  await nodes(io, args, options)
}
