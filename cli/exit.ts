/** The exit codes of our programs, and how errors become exit codes and one line of text. */
import { type ErrorCode, FsError } from '../api/errors.js'
import { sanitize } from './terminal/sanitize.js'

/** The exit codes of our programs, by which scripts can tell failures apart. `docs/llamboctl.md` lists them. */
export const exitCode = {
  ok: 0,
  /** The task, the model or a file operation failed. */
  failed: 1,
  usage: 2,
  /** No server answers at the address. */
  unreachable: 3,
  /** A token is missing or wrong, or a certificate is not the one expected. */
  auth: 4,
  /** As timeout(1). */
  timeout: 124,
  /** 128 and the number of the signal. */
  hungUp: 129,
  interrupted: 130,
  terminated: 143,
} as const

/** An error with its exit code. The message is one line that names the thing and the remedy. */
export class Failure extends Error {
  constructor(
    readonly code: number,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options)
    this.name = 'Failure'
  }
}

/** A failure of the command line or the configuration: something in it is invalid. */
export const usage = (message: string): Failure => new Failure(exitCode.usage, message)

const codes: readonly (readonly [ErrorCode, number])[] = [
  ['authRequired', exitCode.auth],
  ['certificateRefused', exitCode.auth],
  ['waited', exitCode.timeout],
  ['hungUp', exitCode.unreachable],
  ['unreachable', exitCode.unreachable],
]

/** The exit code for whatever a command threw. */
export function codeOf(thrown: unknown): number {
  if (thrown instanceof Failure) return thrown.code
  if (thrown instanceof FsError) return codes.find(([code]) => thrown.is(code))?.[1] ?? exitCode.failed
  return exitCode.failed
}

/**
 * How the user calls llamboctl: by its name, or where it is not on the path, as the checkout's script or through npx.
 */
export function calledAs({ npm_lifecycle_event, npm_package_name, LLAMBO_CALLED_AS }: NodeJS.ProcessEnv): string {
  if (LLAMBO_CALLED_AS && /^[\w./~+-]*\/llamboctl$/.test(LLAMBO_CALLED_AS)) return LLAMBO_CALLED_AS
  if (npm_lifecycle_event === 'npx') return 'npx llamboctl'
  return npm_package_name === 'llambo' ? './llamboctl' : 'llamboctl'
}

/** Rewrites the llamboctl commands in a line as the user has to type them here. */
export const asTyped = (line: string): string =>
  line.replaceAll(/(?<![./])\bllamboctl (?=[a-z-])/g, `${calledAs(process.env)} `)

/**
 * An error as one line for a person. The cause of an FsError follows in brackets. A command in the line is spelled so
 * that it can be typed as it stands.
 */
export function explain(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown)
  const cause = thrown instanceof FsError && thrown.cause instanceof Error ? ` (${thrown.cause.message})` : ''
  // the text may come from a server, and it goes to a terminal or a log
  return asTyped(sanitize(`${thrown.message}${cause}`.replace(/\s*\n\s*/g, ' ')))
}
