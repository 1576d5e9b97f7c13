/** Runs what a model's file or a request can make long, and ends it. */
import { createContext, Script } from 'node:vm'

const box = createContext({ run: undefined as (() => unknown) | undefined })
const script = new Script('run()')

/**
 * Calls `run`, which must not wait for anything, and ends it after `ms` wherever it is: in a loop, in a regular expression, behind
 * a `catch` of its own. V8 ends whatever runs inside of a script with a time limit, also code that comes from outside of it.
 * @throws what `run` throws; `late` where it was ended
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
