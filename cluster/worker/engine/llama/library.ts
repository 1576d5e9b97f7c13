/** Loads node-llama-cpp when it is first needed: that takes a second, and a program without a model never needs it. */
import { homedir } from 'node:os'

export type Library = typeof import('node-llama-cpp')

/**
 * A directory that does not exist and that no other user could create (`/` belongs to root): Debian's convention for
 * the home of a user that has none.
 */
const NO_HOME = '/nonexistent'

/**
 * Loads the library. While it loads it asks for the home directory, under which it keeps builds that we never make, and
 * fails if the user has none, as in a container (`docker run -u 12345`). In that case HOME is set for this process.
 */
export function loadLibrary(): Promise<Library> {
  try {
    homedir()
  } catch {
    process.env.HOME = NO_HOME
  }
  return import('node-llama-cpp')
}
