import { exitCode, Failure } from './exit.js'

const codes = { SIGINT: exitCode.interrupted, SIGTERM: exitCode.terminated, SIGHUP: 129 }

/** Aborts at the first SIGINT, SIGTERM or SIGHUP, so that what runs can end cleanly. The second exits at once. */
export function untilSignal(): AbortSignal {
  const controller = new AbortController()
  for (const [name, code] of Object.entries(codes)) {
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(code)
      controller.abort(new Failure(code, name))
    })
  }
  return controller.signal
}

/** A reader that has seen enough (`| head -1`) is no error of ours. */
export function quietPipe(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(exitCode.ok)
      throw error
    })
  }
}
