/** The builtins about the name space: `cd`, `pwd`, `bind`, `mount`, `import`, `unmount` and `ns`. */

import { namesOf } from '../../fs/base/path.js'
import { quote } from '../../fs/base/quote.js'
import { parseAddress } from '../../fs/dial.js'
import type { Flags } from '../../fs/namespace.js'
import type { Call } from '../call.js'
import { ShellError, why } from '../failure.js'
import { contextFor } from '../space.js'
import { HOME } from '../state.js'
import * as tree from '../tree.js'

export async function cd(call: Call): Promise<void> {
  const { state } = call
  const [given] = call.args
  const path = given === '-' ? state.before : given === undefined ? HOME : call.path(given)
  const stat = await tree.stat(state, path, call.signal)
  if (!tree.isDirectory(stat)) throw new ShellError(`${path}: not a directory`)
  state.before = state.cwd
  state.cwd = path
  if (given === '-') await call.print(`${path}\n`)
}

export const pwd = (call: Call): Promise<void> => call.print(`${call.state.cwd}\n`)

function flags(call: Call): Flags {
  const { a, b, c } = call.options
  if (a && b) throw call.usage('give -a or -b, not both')
  return { ...(a && { where: 'after' as const }), ...(b && { where: 'before' as const }), create: Boolean(c) }
}

/** Changes the name space. @throws ShellError with one line that says what went wrong */
async function change(call: Call, work: () => void | Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (call.signal.aborted) throw error
    throw error instanceof ShellError ? error : new ShellError(`${call.name}: ${why(error)}`)
  }
}

export async function bind(call: Call): Promise<void> {
  const [from, old] = call.args as [string, string]
  const source = from.startsWith('#') ? from : call.path(from)
  await change(call, () =>
    tree.quickly(call.signal, signal =>
      call.state.space.namespace.bind(source, call.path(old), flags(call), contextFor(signal)),
    ),
  )
}

/** `mount` and `import`. `import` chooses the mount point in /n itself if none is given. */
export async function mount(call: Call): Promise<void> {
  const [address, given, aname] = call.args as [string, string?, string?]
  const path = call.path(given ?? `/n/${place(call, address)}`)
  const { namespace } = call.state.space
  const file = call.state.shared.links.tree(address, aname, credentials(call))
  await change(call, async () => {
    parseAddress(address)
    await tree.quickly(call.signal, async signal => {
      const ctx = contextFor(signal)
      // asks the server now, so that the mount itself reports a server that does not answer
      await file.attributes(ctx)
      await namespace.mount(file, address, path, flags(call), ctx, aname === undefined ? [] : [aname])
    })
  })
  if (call.name === 'import' && given === undefined) await call.note(path)
}

/** The credentials for a server, where the shell's variables set them: `LLAMBO_TOKEN=… import …`. */
function credentials({ state }: Call): NodeJS.ProcessEnv {
  const names = ['LLAMBO_TOKEN', 'LLAMBO_TOKEN_FILE', 'LLAMBO_FINGERPRINT']
  return Object.fromEntries(
    names.flatMap(name => {
      const [value] = state.get(name)
      return value ? [[name, value]] : []
    }),
  )
}

/** A name for a server in /n: its host name, or the last two names in its socket's path. */
function place(call: Call, address: string): string {
  try {
    const at = parseAddress(address)
    if (at.kind === 'tcp') return at.host
    if (at.kind === 'ws') return new URL(at.url).hostname
    return namesOf(at.path).slice(-2).join('-')
  } catch (error) {
    throw call.usage(why(error))
  }
}

export async function unmount(call: Call): Promise<void> {
  const [first, second] = call.args as [string, string?]
  const { namespace } = call.state.space
  await change(call, () => {
    if (second === undefined) return namespace.unmount(call.path(first))
    const named = /^#|[!:]/.test(first)
    namespace.unmount(call.path(second), named ? first : call.path(first))
  })
}

export const ns = (call: Call): Promise<void> =>
  call.print(`${call.state.space.namespace.text()}cd ${quote(call.state.cwd)}\n`)
