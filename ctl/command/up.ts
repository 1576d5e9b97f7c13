import type { Run } from '../common/command.js'
import { asTyped } from '../common/exit.js'
import type { Invocation } from '../common/invocation.js'
import { logFile } from '../common/paths.js'
import type { Server } from '../server/server.js'

/** Says where a server that has started is. */
export function announce(io: Invocation, { mounts, addresses }: Pick<Server, 'mounts' | 'addresses'>): void {
  const { bold } = io.colors(io.stderr)
  for (const dir of mounts) io.note(`mounted at ${bold(dir)}`)
  for (const address of addresses) io.note(`listening on ${address}`)
}

/** Says to a person what to type next. @param elsewhere in another terminal, because this one stays with the server */
function next(io: Invocation, { mounts: [dir] }: Pick<Server, 'mounts'>, elsewhere: boolean): void {
  if (!io.stderr.isTTY) return
  const { bold } = io.colors(io.stderr)
  const ask = dir ? `echo "What is AI?" > ${dir}/data; cat ${dir}/data` : 'llamboctl rdwr data "What is AI?"'
  const rows = [
    [ask, 'a prompt and its answer'],
    ['llamboctl limbot', 'a chat'],
    ['llamboctl status', 'how it is'],
    ...(elsewhere ? [] : [['llamboctl down', 'stops it']]),
  ].map(([typed = '', what = '']) => [asTyped(typed), what] as const)
  const wide = Math.max(...rows.map(([typed]) => typed.length))
  io.note(elsewhere ? '\nTo type next, in another terminal (Ctrl-C here stops the server):' : '\nTo type next:')
  for (const [typed, what] of rows) io.note(`    ${bold(typed)}${' '.repeat(wide - typed.length)}  # ${what}`)
}

export const run: Run = async (io, _args, options) => {
  // Only what is used: with -d the server's modules are loaded once, in the server.
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
