/** node-llama-cpp, which is loaded where it is needed first: it takes a second, and a program without a model never needs it. */
import { homedir } from 'node:os'

export type Library = typeof import('node-llama-cpp')

/** No directory, and none that another user could make (`/` is root's): Debian's word for the home of who has none. */
const NO_HOME = '/nonexistent'

/**
 * Loads the library. While it is loaded it asks for the home directory, below which it keeps builds that we never make, and fails where the
 * user has none, as in a container (`docker run -u 12345`): then HOME is set for this process.
 */
export function loadLibrary(): Promise<Library> {
  try {
    homedir()
  } catch {
    process.env.HOME = NO_HOME
  }
  return import('node-llama-cpp')
}
