/** How a program of ours ends: by signals, by output that cannot be written, by a terminal that is gone, or by itself. */
import { setMaxListeners } from 'node:events'
import { writeSync } from 'node:fs'
import { basename } from 'node:path'
import { getSystemErrorMap } from 'node:util'
import { exitCode, Failure } from './exit.js'
import { outliveTerminal, terminalGone } from './terminal/hangup.js'

const codes = { SIGINT: exitCode.interrupted, SIGTERM: exitCode.terminated, SIGHUP: exitCode.hungUp }

/** How long a program that leaves nothing behind may take to end after its first signal, in ms. */
const END_MS = 5_000

let interrupt: (() => boolean) | undefined
/** Present while the process must not end before what it has made is taken down; aborts at the second signal. */
let hurried: AbortController | undefined
/** The code that the process is ending with. */
let ending: number | undefined

/**
 * Has SIGINT asked about first: where `handler` says that it was for something of its own, nothing else comes of it.
 * @returns what ends that
 */
export function onInterrupt(handler: () => boolean): () => void {
  interrupt = handler
  return () => {
    if (interrupt === handler) interrupt = undefined
  }
}

/**
 * Aborts at the first SIGINT, SIGTERM or SIGHUP, so that what runs can end cleanly. A program with nothing to take down ends at
 * once at the second signal, and in any case 5 s after the first.
 */
export function untilSignal(): AbortSignal {
  outliveTerminal()
  const controller = new AbortController()
  // every request in flight listens: their number is bounded by what they are for, not by what Node takes for a leak
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
 * For a program that leaves mounts, workers or sockets behind unless it ends in order: from now on no signal ends the process,
 * and output that cannot be written does not either.
 * @returns aborts at the second signal: its sender does not want to wait for answers under way
 */
export function endsInOrder(): AbortSignal {
  hurried ??= new AbortController()
  return hurried.signal
}

/**
 * Handles output that cannot be written, so that it is never a stack trace. A reader that has seen enough (`| head -1`) is no
 * error of ours: the program ends with 0. A terminal that is gone ends it with 129. Anything else (a full disk) is one line on
 * standard error and ends it with 1.
 * @param lost called with that code in place of ending the process; `ignore`: what is written is lost and nothing comes of it,
 *   as for a server whose log is full or read by nobody. The last call of this function counts
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
    // there is nobody to say it to
  }
}

/**
 * Ends the process with that code, or as `guardOutput` says where the last that was written cannot be. What a program makes of
 * the end of its input is worth nothing where that is a terminal that is gone: then it is 129.
 */
export async function end(code: number): Promise<never> {
  ending = terminalGone() && !hurried ? exitCode.hungUp : code
  // Node tells of a failed write in the next turn
  await new Promise(setImmediate)
  process.exit(ending)
}
