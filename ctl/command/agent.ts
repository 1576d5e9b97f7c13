import type { Run } from '../common/command.js'
import { usage } from '../common/exit.js'
import { privateDir, runtimeDir } from '../common/paths.js'
import { Agent } from '../shell/agent.js'
import { Cluster } from '../shell/cluster.js'
import { IDLE_S } from '../shell/limits.js'
import { SOCKET } from '../shell/script.js'

/** `shell agent`: until nobody has asked for a while. A second one ends at once. */
export const run: Run = async (io, _args, { idle = String(IDLE_S) }) => {
  const idle_s = Number(idle)
  if (!(idle_s > 0 && idle_s <= 86_400)) throw usage(`--idle ${idle}: seconds, up to 86400`)
  // Ctrl-C and the end of the terminal it was started from are not meant for it
  for (const name of ['SIGINT', 'SIGHUP'] as const) process.removeAllListeners(name).on(name, () => undefined)
  // nor is the directory, which somebody may want to unmount
  process.chdir('/')
  const cluster = new Cluster(io)
  const agent = new Agent(cluster, io.env, idle_s)
  io.signal.addEventListener('abort', () => agent.close(), { once: true })
  if (await agent.listen(privateDir(runtimeDir(io.env)), SOCKET)) await agent.ended
  cluster.close()
}
