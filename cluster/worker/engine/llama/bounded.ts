/** Runs code whose duration depends on a model's file or on a request, with a time limit. */
import { createContext, Script } from 'node:vm'

const box = createContext({ run: undefined as (() => unknown) | undefined })
const script = new Script('run()')

/**
 * Calls `run`, which must be synchronous, and stops it after `ms` wherever it is: in a loop, in a regular expression,
 * behind a `catch` of its own. V8 stops whatever runs inside a script with a time limit, including code that comes from
 * outside the script.
 * @throws what `run` throws; the error from `late` if it was stopped
 */
export function bounded<T>(ms: number, run: () => T, late: () => Error): T {
  box.run = run
  try {
    return script.runInContext(box, { timeout: ms }) as T
  } catch (error) {
    throw (error as NodeJS.ErrnoException)?.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT' ? late() : error
  } finally {
    box.run = undefined
  }
}
