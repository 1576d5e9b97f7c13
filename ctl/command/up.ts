import type { Run } from '../common/command.js'
import type { Invocation } from '../common/invocation.js'
import { logFile } from '../common/paths.js'
import type { Server } from '../server/server.js'

/** Says where a server that has started is. */
export function announce(io: Invocation, { mounts, addresses }: Pick<Server, 'mounts' | 'addresses'>): void {
  const { bold } = io.colors(io.stderr)
  for (const dir of mounts) io.note(`mounted at ${bold(dir)}`)
  for (const address of addresses) io.note(`listening on ${address}`)
}

export const run: Run = async (io, _args, options) => {
  // Only what is used: with -d the server's modules are loaded once, in the server.
  if (options.detach) {
    const { startDetached } = await import('../server/detached.js')
    return announce(io, await startDetached(io, logFile(io.env)))
  }
  const { runServer } = await import('../server/foreground.js')
  await runServer(io, options, server => announce(io, server))
}
