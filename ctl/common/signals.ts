import { exitCode, Failure } from './exit.js'

const codes = { SIGINT: exitCode.interrupted, SIGTERM: exitCode.terminated, SIGHUP: 129 }

let interrupt: (() => boolean) | undefined

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

/** Aborts at the first SIGINT, SIGTERM or SIGHUP, so that what runs can end cleanly. The second exits at once. */
export function untilSignal(): AbortSignal {
  const controller = new AbortController()
  for (const [name, code] of Object.entries(codes)) {
    process.on(name, () => {
      if (name === 'SIGINT' && interrupt?.()) return
      if (controller.signal.aborted) process.exit(code)
      controller.abort(new Failure(code, name))
    })
  }
  return controller.signal
}

/**
 * A reader that has seen enough (`| head -1`) is no error of ours: `gone` is called instead, which ends the process unless
 * there is something to take down first. The last call counts.
 */
export function quietPipe(gone: () => void = () => process.exit(exitCode.ok)): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.removeAllListeners('error').on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error
      gone()
    })
  }
}
