/** `llamboctl up`: starts a server, in the foreground or with `-d` in the background. */
import type { Run } from '../../cli/command.js'
import { asTyped } from '../../cli/exit.js'
import type { Invocation } from '../../cli/invocation.js'
import { logFile } from '../../cli/paths.js'
import type { Server } from '../server/server.js'

/** Prints where a server that has started is mounted and listens. */
export function announce(io: Invocation, { mounts, addresses }: Pick<Server, 'mounts' | 'addresses'>): void {
  const { bold } = io.colors(io.stderr)
  for (const dir of mounts) io.note(`mounted at ${bold(dir)}`)
  for (const address of addresses) io.note(`listening on ${address}`)
}

/** Prints what to type next, for a person. @param elsewhere in another terminal, because the server keeps this one */
function next(io: Invocation, { mounts: [dir] }: Pick<Server, 'mounts'>, elsewhere: boolean): void {
  if (!io.stderr.isTTY) return
  const { bold } = io.colors(io.stderr)
  const ask = dir ? `echo "What is AI?" > ${dir}/data; cat ${dir}/data` : 'llamboctl rdwr data "What is AI?"'
  const rows = [
    ['send a prompt and read the answer', ask],
    ['chat', 'llamboctl limbot'],
    ['see what the server is doing', 'llamboctl status'],
    ...(elsewhere ? [] : [['stop the server', 'llamboctl down']]),
  ]
  io.note(elsewhere ? '\nTo type next, in another terminal (Ctrl-C here stops the server):' : '\nTo type next:')
  // above the command, not after it as a comment: an interactive zsh passes the words of a comment to the command
  for (const [what, typed = ''] of rows) io.note(`  ${what}:\n    ${bold(asTyped(typed))}`)
}

export const run: Run = async (io, _args, options) => {
  // imported only where used: with -d only the server process itself loads the server's modules
  if (options.detach) {
    const { startDetached } = await import('../server/detached.js')
    const server = await startDetached<Pick<Server, 'mounts' | 'addresses'>>(io, logFile(io.env))
    announce(io, server)
    return next(io, server, false)
  }
  const { runServer } = await import('../server/foreground.js')
  await runServer(io, options, server => {
    announce(io, server)
    next(io, server, true)
  })
}
