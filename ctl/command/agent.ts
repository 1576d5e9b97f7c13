/** `llamboctl shell agent`: the process that answers the shells in which the sentinel runs. */
import type { Run } from '../../cli/command.js'
import { usage } from '../../cli/exit.js'
import { privateDir, runtimeDir } from '../../cli/paths.js'
import { Agent } from '../shell/agent.js'
import { Cluster } from '../shell/cluster.js'
import { IDLE_S } from '../shell/limits.js'
import { SOCKET } from '../shell/script.js'

/** Runs until no shell has asked for `--idle` seconds. Where an agent runs already, a second one ends at once. */
export const run: Run = async (io, _args, { idle = String(IDLE_S) }) => {
  const idle_s = Number(idle)
  if (!(idle_s > 0 && idle_s <= 86_400)) throw usage(`--idle ${idle}: expected a number of seconds, at most 86400`)
  // Ctrl-C in the terminal that started the agent, and the end of that terminal, are not meant for it
  for (const name of ['SIGINT', 'SIGHUP'] as const) process.removeAllListeners(name).on(name, () => undefined)
  // the agent outlives the command that started it, and its working directory must not keep a file system from being
  // unmounted
  process.chdir('/')
  const cluster = new Cluster(io)
  const agent = new Agent(cluster, io.env, idle_s)
  io.signal.addEventListener('abort', () => agent.close(), { once: true })
  if (await agent.listen(privateDir(runtimeDir(io.env)), SOCKET)) await agent.ended
  cluster.close()
}
