import { spawn } from 'node:child_process'
import { write } from '../ctl/common/output.js'
import { BrokenPipe, type Sink, type Source } from './pipe.js'
import type { Io, State } from './state.js'

/** What a variable of dish is called in the environment of the host's commands: its own name. */
const exported = /^[A-Za-z_][A-Za-z0-9_]*$/
/** What is not handed on: ours mean something else, and these decide what the host runs. */
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
 * Runs a command line with `$SHELL -c` (sh unless that is set), in the host's own working directory. Streams that are the process's own it
 * is given as they are, so that a full-screen program works; bytes of others are carried across.
 * @returns its status: '' for 0, its exit code, or the name of the signal that ended it
 */
export async function runHost(text: string, io: Io, state: State): Promise<string> {
  const { signal } = io
  const terminal = state.shared.terminal
  const stdin = terminal && io.stdin.inherited ? 'inherit' : 'pipe'
  const own = (sink: Sink) => (terminal && sink.own ? sink.own : 'pipe')
  const child = spawn(state.shared.env.SHELL || '/bin/sh', ['-c', text], {
    env: environment(state),
    stdio: [stdin, own(io.stdout), own(io.stderr)],
  })
  const ended = new Promise<string>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, name) => resolve(name ?? (code === 0 ? '' : String(code))))
  })
  ended.catch(() => undefined)
  // a terminal sends Ctrl-C to the command itself; one that does not heed it goes on, as in any shell
  const interrupt = () => stdin === 'inherit' || child.kill('SIGINT')
  signal.addEventListener('abort', interrupt, { once: true })
  const over = new AbortController()
  const feeding = child.stdin ? feed(io.stdin, child.stdin, AbortSignal.any([signal, over.signal])) : undefined
  try {
    await Promise.all([
      ended.then(() => over.abort(new BrokenPipe())),
      carry(child.stdout, io.stdout, signal),
      carry(child.stderr, io.stderr, signal),
    ])
    await feeding
    return await ended
  } catch (error) {
    child.kill('SIGTERM')
    if (error instanceof BrokenPipe) return ''
    throw error
  } finally {
    over.abort(new BrokenPipe())
    signal.removeEventListener('abort', interrupt)
  }
}

async function feed(
  from: Source,
  to: NodeJS.WritableStream & { destroyed?: boolean },
  signal: AbortSignal,
): Promise<void> {
  // the command need not read what it is given
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

async function carry(from: NodeJS.ReadableStream | null, to: Sink, signal: AbortSignal): Promise<void> {
  if (!from) return
  const gone = () => (from as unknown as { destroy(): void }).destroy()
  to.gone?.addEventListener('abort', gone, { once: true })
  try {
    for await (const data of from) await to.write(data as Buffer, signal)
  } catch (error) {
    if (!to.gone?.aborted) throw error
  } finally {
    to.gone?.removeEventListener('abort', gone)
  }
}
