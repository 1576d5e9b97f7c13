/** Starts a command in the background (`-d`). */
import { spawn } from 'node:child_process'
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { exitCode, explain, Failure } from '../../cli/exit.js'
import type { Invocation } from '../../cli/invocation.js'
import { privateDir } from '../../cli/paths.js'

/**
 * Runs this command line again without `-d`, in a process group of its own and with its output in the log file, and
 * waits until the process sends the message that it is ready.
 * @returns that message
 * @throws Failure with the last line of the process, where it ends before that; the reason of `io.signal`
 */
export async function startDetached<Ready>(io: Invocation, log: string): Promise<Ready> {
  privateDir(dirname(log))
  const fd = opened(log)
  const from = fstatSync(fd).size
  const args = process.argv.slice(1).filter(arg => arg !== '-d' && arg !== '--detach')
  const child = spawn(process.execPath, args, {
    detached: true,
    env: io.env,
    stdio: ['ignore', fd, fd, 'ipc'],
  })
  closeSync(fd)
  try {
    return await new Promise<Ready>((resolve, reject) => {
      io.signal.addEventListener('abort', () => reject(io.signal.reason), { once: true })
      let failed: string | undefined
      child.on('message', message => {
        if (isFailure(message)) failed = message.failed
        else resolve(message as Ready)
      })
      child.once('error', reject)
      child.once('exit', (code, signal) => {
        const said =
          failed ??
          lastWords(log, from) ??
          (signal ? `the process was ended by ${signal}` : `the process exited with ${code}`)
        reject(new Failure(code ?? exitCode.failed, `${said} (log: ${log})`))
      })
    })
  } catch (error) {
    child.kill()
    throw error
  } finally {
    if (child.connected) child.disconnect()
    child.unref()
  }
}

const isFailure = (message: unknown): message is { failed: string } =>
  typeof (message as { failed?: unknown } | null)?.failed === 'string'

/** The last line that a server which did not start wrote to its log, without the name of the program. */
function lastWords(log: string, from: number): string | undefined {
  const lines = readFileSync(log).subarray(from).toString('utf8').trimEnd().split('\n')
  return lines.at(-1)?.replace(/^llamboctl: /, '') || undefined
}

/**
 * Opens the log.
 * @throws Failure with the remedy, for example where there is a directory or a file of another user in its place
 */
function opened(log: string): number {
  try {
    return openSync(log, 'a', 0o600)
  } catch (error) {
    throw new Failure(exitCode.failed, `cannot write the log: ${explain(error)}; mv ${log} ${log}.old`, {
      cause: error,
    })
  }
}
