/** Serves a shell's name space on a socket, for other programs of its user. */

import { readdirSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { runtimeDir } from '../cli/paths.js'
import { listen } from '../fs/dial.js'
import type { Namespace } from '../fs/namespace.js'
import { checkPlace } from '../fs/place.js'
import type { Connection } from '../fs/server/server.js'
import { serveSpace } from './space.js'

/** The path of the socket of the shell with that process id. */
export const socketOf = (env: NodeJS.ProcessEnv, pid: number): string => join(runtimeDir(env), `dish-${pid}`)

/**
 * Serves a shell's name space on a socket that only its user may reach, so that another program can read what the shell
 * does.
 */
export async function publish(env: NodeJS.ProcessEnv, namespace: Namespace): Promise<{ close(): Promise<void> }> {
  checkPlace(runtimeDir(env))
  sweep(env)
  const path = socketOf(env, process.pid)
  const sessions = new Set<Connection>()
  const listener = await listen(`unix!${path}`, transport => {
    const session = serveSpace(transport, namespace)
    sessions.add(session)
    session.closed.then(() => sessions.delete(session))
  })
  return {
    async close() {
      for (const session of sessions) session.close()
      await listener.close()
    },
  }
}

/** Removes the sockets of shells that were killed. */
function sweep(env: NodeJS.ProcessEnv): void {
  const dir = runtimeDir(env)
  let names: string[] = []
  try {
    names = readdirSync(dir)
  } catch {
    // the directory does not exist yet
  }
  for (const name of names) {
    const [, pid] = /^dish-(\d+)$/.exec(name) ?? []
    if (pid !== undefined && !lives(Number(pid))) unlinkSync(join(dir, name))
  }
}

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
