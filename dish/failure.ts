/** The shell's errors, and their texts and exit codes. */

import { FsError } from '../api/errors.js'
import { codeOf, exitCode, explain } from '../cli/exit.js'

/** The failure of a command: one line, which becomes `$status`. */
export class ShellError extends Error {
  /** @param code the exit code of a dish that ends with this failure */
  constructor(
    message: string,
    readonly code: number = exitCode.failed,
    options?: ErrorOptions,
  ) {
    super(message, options)
    this.name = 'ShellError'
  }
}

/** Thrown by `exit`: the whole shell, or the script, ends. */
export class Exit extends Error {
  constructor(readonly status: string | undefined) {
    super('exit')
  }
}

/** The exit code for anything that was thrown, the same as for llamboctl's commands. */
export const codeFor = (thrown: unknown): number => (thrown instanceof ShellError ? thrown.code : codeOf(thrown))

/** The text of a failure. A file's `no answer` comes without the prefix `i/o error`. */
export function why(thrown: unknown): string {
  const text = explain(thrown)
  return thrown instanceof FsError ? text.replace(/^i\/o error: (?=no answer)/, '') : text
}
