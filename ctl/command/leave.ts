/** `llamboctl leave`: ends the process with which this machine has joined a server. */
import type { Run } from '../../cli/command.js'
import { exitCode, Failure } from '../../cli/exit.js'
import { readJoinFile } from '../../cli/joinfile.js'
import { isAlive } from '../../cli/serverfile.js'
import { stop } from './down.js'

/** How long leaving may take, in ms: answers have 25 s to finish, and the worker processes 30 s to end. */
const PATIENCE_MS = 40_000

export const run: Run = async io => {
  const file = readJoinFile(io.env)
  if (!file || !isAlive(file)) throw new Failure(exitCode.unreachable, 'this machine has not joined a server')
  await stop(file, PATIENCE_MS, io.signal)
}
