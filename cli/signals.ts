/**
 * How our programs end: at a signal, when their output cannot be written, when their terminal is gone, or by
 * themselves.
 */
import { setMaxListeners } from 'node:events'
import { writeSync } from 'node:fs'
import { basename } from 'node:path'
import { getSystemErrorMap } from 'node:util'
import { exitCode, Failure } from './exit.js'
import { outliveTerminal, terminalGone } from './terminal/hangup.js'

const codes = { SIGINT: exitCode.interrupted, SIGTERM: exitCode.terminated, SIGHUP: exitCode.hungUp }

/** How long a program that has nothing to take down may take to end after its first signal, in ms. */
const END_MS = 5_000

let interrupt: (() => boolean) | undefined
/** Set once the process must take down mounts, workers or sockets before it ends; aborts at the second signal. */
let hurried: AbortController | undefined
/** The code that the process is ending with. */
let ending: number | undefined

/**
 * Calls `handler` first at each SIGINT. Where it returns true, it has handled the signal and nothing else happens.
 * @returns removes the handler
 */
export function onInterrupt(handler: () => boolean): () => void {
  interrupt = handler
  return () => {
    if (interrupt === handler) interrupt = undefined
  }
}

/**
 * A signal that aborts at the first SIGINT, SIGTERM or SIGHUP, so that what runs can end cleanly. A program with
 * nothing to take down ends at once at the second signal, and in any case 5 s after the first.
 */
export function untilSignal(): AbortSignal {
  outliveTerminal()
  const controller = new AbortController()
  // every request in flight listens to it; their number is bounded elsewhere, so Node's warning about a leak would be
  // wrong
  setMaxListeners(0, controller.signal)
  for (const [name, code] of Object.entries(codes)) {
    process.on(name, () => {
      if (name === 'SIGINT' && interrupt?.()) return
      const first = !controller.signal.aborted
      if (first) {
        controller.abort(new Failure(code, name))
        setTimeout(() => !hurried && process.exit(code), END_MS).unref()
      } else if (hurried) hurried.abort(new Failure(code, name))
      else process.exit(code)
    })
  }
  return controller.signal
}

/**
 * For a program that would leave mounts, workers or sockets behind unless it ends in order: from now on no signal ends
 * the process. Such a program also calls `guardOutput` with a function or `ignore`, so that output that cannot be
 * written does not end it either.
 * @returns aborts at the second signal, with which the user asks not to wait for answers that are being made
 */
export function endsInOrder(): AbortSignal {
  hurried ??= new AbortController()
  return hurried.signal
}

/**
 * Handles output that cannot be written, so that it never becomes a stack trace. A reader that closes the pipe early
 * (`| head -1`) is not an error: the program ends with 0. A terminal that is gone ends it with 129. Any other error,
 * such as a full disk, is printed as one line on standard error and ends it with 1.
 * @param lost called with that code instead of ending the process. With `ignore` the output is lost and the program
 *   goes on, as a server does whose log is full or no longer read. The last call of this function counts
 */
export function guardOutput(lost: ((code: number) => void) | 'ignore' = code => process.exit(code)): void {
  outliveTerminal()
  for (const stream of [process.stdout, process.stderr]) {
    stream.removeAllListeners('error').on('error', (error: NodeJS.ErrnoException) => {
      if (lost === 'ignore') return
      if (error.code === 'EPIPE') return lost(ending ?? exitCode.ok)
      if (error.code === 'EIO' && stream.isTTY) return lost(ending ?? exitCode.hungUp)
      sayLost(stream === process.stdout ? 'standard output' : 'standard error', error)
      lost(ending || exitCode.failed)
    })
  }
}

function sayLost(name: string, { errno, message }: NodeJS.ErrnoException): void {
  const [, why = message] = (errno !== undefined && getSystemErrorMap().get(errno)) || []
  try {
    writeSync(2, `${basename(process.argv[1] ?? 'llambo', '.js')}: ${name}: ${why}\n`)
  } catch {
    // standard error cannot be written either
  }
}

/**
 * Ends the process with a code, or as `guardOutput` says where the last output cannot be written. Where the terminal is
 * gone the code is 129, because a program that read the end of its input there cannot know better.
 */
export async function end(code: number): Promise<never> {
  ending = terminalGone() && !hurried ? exitCode.hungUp : code
  // Node reports a failed write in the next turn of the event loop
  await new Promise(setImmediate)
  process.exit(ending)
}
