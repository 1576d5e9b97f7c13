/** Sets up a shell: its name space, its own files and its variables. */

import { serverAddress } from '../cli/address.js'
import type { Invocation } from '../cli/invocation.js'
import { usr } from '../cli/user-files.js'
import { quote, record } from '../fs/base/quote.js'
import type { File } from '../fs/file.js'
import { text } from '../fs/kit/content.js'
import { dir } from '../fs/kit/dir.js'
import { Namespace } from '../fs/namespace.js'
import { Jobs } from './jobs.js'
import { Links } from './link.js'
import { contextFor, Space, user } from './space.js'
import { HOME, type Shared, State } from './state.js'

/**
 * Which variables of the environment become variables of the shell: not the shell's own, and not llambo's, because
 * credentials are for one server only.
 */
const taken = /^(?!LLAMBO|(?:ifs|prompt|status|pid|apid)$)[A-Za-z_][A-Za-z0-9_]*$/

/** What differs between a shell for a person and one for a script. */
export interface ShellOptions {
  readonly interactive: boolean
  /** Called with a line for the user: a connection was lost, a job has ended. */
  readonly told: (line: string) => void
  readonly history?: () => readonly string[]
  readonly background?: Shared['background']
  readonly withTerminal?: Shared['withTerminal']
}

/** One shell, from its start to its end. */
export interface ShellInstance {
  readonly state: State
  readonly namespace: Namespace
  /** Stops the jobs and closes the connections. */
  close(): Promise<void>
}

/**
 * Makes a shell: the server's tree is at /n/llambo, its own files at /n/dish, its user's at /usr. Nothing is dialled
 * yet.
 */
export async function begin(
  io: Invocation,
  manner: ShellOptions,
  words: readonly string[] = [],
): Promise<ShellInstance> {
  const started = Date.now()
  const links = new Links(io, line => manner.told(`dish: ${line}`))
  const jobs = new Jobs(line => manner.interactive && manner.told(`dish: ${line}`))
  const owner = { name: user.name, uid: user.uid }
  const { history = () => [] } = manner
  const own = (make: () => string) => text(make, { owner, mode: 0o400 })
  const files: File = dir(
    new Map([
      [
        'history',
        own(() =>
          history()
            .map(entry => `${entry}\n`)
            .join(''),
        ),
      ],
      ['jobs', own(() => jobs.text())],
      ['namespace', own(() => `${namespace.text()}cd ${quote(state.cwd)}\n`)],
      ['status', own(() => status())],
    ]),
    owner,
  )
  const namespace: Namespace = new Namespace(
    owner,
    new Map([
      ['#dish', files],
      ['#usr', usr(io.env, owner)],
    ]),
  )
  const { aname } = io.globals
  const server = serverAddress(io.globals.at, io.env)
  const ctx = contextFor(io.signal)
  await namespace.mount(links.tree(server, aname), server, HOME, {}, ctx, aname === undefined ? [] : [aname])
  await namespace.bind('#dish', '/n/dish', {}, ctx)
  await namespace.bind('#usr', '/usr', {}, ctx)
  const shared: Shared = {
    links,
    jobs,
    env: io.env,
    server,
    history,
    interactive: manner.interactive,
    terminal: io.stdin.isTTY === true,
    colors: io.colors(io.stdout).level > 0,
    ...(manner.background && { background: manner.background }),
    ...(manner.withTerminal && { withTerminal: manner.withTerminal }),
  }
  const state = new State(shared, new Space(namespace))
  for (const [name, value] of Object.entries(io.env)) if (value && taken.test(name)) state.set(name, [value])
  state.set('0', [words[0] ?? 'dish'])
  state.set('*', words.slice(1))
  state.set('pid', [String(process.pid)])

  function status(): string {
    const { pid } = process
    const uptime_s = Math.floor((Date.now() - started) / 1000)
    const running = jobs.running.length
    return `${record('dish', { pid, user: user.name, server, cwd: state.cwd, status: state.status, jobs: running, interactive: manner.interactive, uptime_s })}\n`
  }

  return {
    state,
    namespace,
    async close() {
      await jobs.stop()
      state.space.close()
      links.close()
    },
  }
}
