/** Runs host commands: command lines for the shell of this machine. */

import { spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { write } from '../cli/output.js'
import { BrokenPipe, type Sink, type Source } from './pipe.js'
import type { Io, State } from './state.js'

/** After this many ms a command has started, and gets what the terminal sends. */
const STARTING_MS = 250
/** How long after a command has ended we may learn of the Ctrl-C that ended it, in ms, on a busy machine. */
const LATE_MS = 500

/** Which variables of dish are in the environment of host commands, under the same name. */
const exported = /^[A-Za-z_][A-Za-z0-9_]*$/
/** Variables that are not passed on: in dish they mean something else, and on the host they decide what runs. */
const kept = new Set([
  'PATH',
  'HOME',
  'SHELL',
  'IFS',
  'ENV',
  'BASH_ENV',
  'LD_PRELOAD',
  'LD_LIBRARY_PATH',
  'NODE_OPTIONS',
])

function environment(state: State): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = { ...state.shared.env }
  for (const [name, value] of state.variables)
    if (exported.test(name) && !kept.has(name) && !value.some(text => text.includes('\0'))) env[name] = value.join(' ')
  return env
}

/**
 * Runs a command line with `$SHELL -c` (`sh` if that is not set), in the host's own working directory. If a stream is
 * the process's own, the command gets it as it is, so that a full-screen program works. Other streams are copied.
 * @returns the status: '' for exit code 0, another exit code, or the name of the signal that ended the command
 */
export function runHost(text: string, io: Io, state: State): Promise<string> {
  const { withTerminal } = state.shared
  const start = () => run(text, io, state)
  return withTerminal && !io.background ? withTerminal(start) : start()
}

async function run(text: string, io: Io, state: State): Promise<string> {
  const { signal } = io
  if (signal.aborted) throw signal.reason
  // in its own process group, unless the terminal's Ctrl-C is meant for this command
  const detached = io.background === true || !state.shared.terminal
  const own = (sink: Sink) => sink.own ?? 'pipe'
  const child = spawn(state.shared.env.SHELL || '/bin/sh', ['-c', text], {
    env: environment(state),
    stdio: [io.stdin.inherited ? 'inherit' : 'pipe', own(io.stdout), own(io.stderr)],
    detached,
  })
  const ended = new Promise<string>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, name) => resolve(name ?? (code === 0 ? '' : String(code))))
  })
  ended.catch(() => undefined)
  const tell = () => {
    if (detached) kill(child.pid, 'SIGINT')
    else if (state.shared.interactive) process.kill(0, 'SIGINT')
    else child.kill('SIGINT')
  }
  // The terminal sends Ctrl-C to the command itself, and a command that ignores it goes on, as in any shell. A command
  // that was just starting, or whose shell was, may have missed the signal. So the signal is sent again, to our whole
  // process group, which got it from the terminal as well.
  const begun = performance.now()
  let again: NodeJS.Timeout | undefined
  const interrupt = () => {
    if (detached) tell()
    if (performance.now() - begun < STARTING_MS) again = setTimeout(tell, STARTING_MS)
  }
  signal.addEventListener('abort', interrupt, { once: true })
  const over = new AbortController()
  let unread = false
  const broken = () => {
    unread = true
    if (detached) kill(child.pid, 'SIGPIPE')
    else child.kill('SIGPIPE')
  }
  const feeding = child.stdin ? feed(io.stdin, child.stdin, AbortSignal.any([signal, over.signal])) : undefined
  try {
    await Promise.all([
      ended.then(() => over.abort(new BrokenPipe())),
      carry(child.stdout, io.stdout, signal, broken),
      carry(child.stderr, io.stderr, signal, broken),
    ])
    await feeding
    const status = await ended
    // the terminal's Ctrl-C goes to the command and to us, and we may see the command's end first
    if (status === 'SIGINT' && !detached) await aborted(signal, LATE_MS)
    return unread ? '' : status
  } catch (error) {
    if (detached) kill(child.pid, 'SIGTERM')
    else child.kill('SIGTERM')
    if (error instanceof BrokenPipe) return ''
    throw error
  } finally {
    over.abort(new BrokenPipe())
    clearTimeout(again)
    signal.removeEventListener('abort', interrupt)
  }
}

/** Waits until the signal aborts, for `most` ms at most. */
async function aborted(signal: AbortSignal, most: number): Promise<void> {
  if (!signal.aborted) await sleep(most, undefined, { signal }).catch(() => undefined)
}

/** Signals a process group, if it still exists. */
function kill(pid: number | undefined, signal: NodeJS.Signals): void {
  try {
    if (pid !== undefined) process.kill(-pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

async function feed(
  from: Source,
  to: NodeJS.WritableStream & { destroyed?: boolean },
  signal: AbortSignal,
): Promise<void> {
  // the command may end without having read all of its input
  to.on('error', () => undefined)
  try {
    for (;;) {
      const data = await from.read(signal)
      if (data.length === 0 || to.destroyed) break
      await write(to as never, data)
    }
  } catch (error) {
    if (!signal.aborted && !to.destroyed) throw error
  } finally {
    to.end()
  }
}

/**
 * Copies what a command prints to `to`. When nobody reads `to` any more, the command gets SIGPIPE. Closing its output
 * is not enough: Node gives a child a socket instead of a pipe, and the command's next write to it would fail with
 * ECONNRESET.
 */
async function carry(
  from: NodeJS.ReadableStream | null,
  to: Sink,
  signal: AbortSignal,
  broken: () => void,
): Promise<void> {
  if (!from) return
  for await (const data of from) {
    try {
      await to.write(data as Buffer, signal)
    } catch (error) {
      if (!(error instanceof BrokenPipe)) throw error
      broken()
      return
    }
  }
}
