import { codeOf, exitCode, explain } from '../ctl/common/exit.js'
import { FsError } from '../fs/errors.js'

/** What a command failed with: one line, its `$status`. */
export class ShellError extends Error {
  /** @param code what a dish that ends with it exits with */
  constructor(
    message: string,
    readonly code: number = exitCode.failed,
    options?: ErrorOptions,
  ) {
    super(message, options)
    this.name = 'ShellError'
  }
}

/** `exit`: the whole shell, or the script, is over. */
export class Exit extends Error {
  constructor(readonly status: string | undefined) {
    super('exit')
  }
}

/** What to exit with for whatever was thrown: as llamboctl's commands do. */
export const codeFor = (thrown: unknown): number => (thrown instanceof ShellError ? thrown.code : codeOf(thrown))

/** A failure of a file's, less what every failure has. */
export function why(thrown: unknown): string {
  const text = explain(thrown)
  return thrown instanceof FsError ? text.replace(/^i\/o error: (?=no answer)/, '') : text
}
