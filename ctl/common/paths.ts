import { lstatSync } from 'node:fs'
import { isAbsolute, join } from 'node:path'
import { makeDirectory } from '../../fs/host-directory.js'
import { checkPlace } from '../../fs/place.js'
import { home, ownTemporary } from './account.js'
import { exitCode, explain, Failure } from './exit.js'

/**
 * Where things live, by the XDG base directory specification: a variable that is unset, empty or not absolute is as good as
 * not there. Without a home, all of it is in this user's own temporary directory, and gone when that is.
 */
const base = (variable: string, fallback: string) => (env: NodeJS.ProcessEnv) => {
  const value = env[variable]
  return join(value && isAbsolute(value) ? value : join(home(env) ?? privateDir(ownTemporary()), fallback), 'llambo')
}

/** `config.yaml`. */
export const configDir = base('XDG_CONFIG_HOME', '.config')
/** `models/`. */
export const dataDir = base('XDG_DATA_HOME', '.local/share')
/** `server.log`, `join.log`, the tokens, the certificate. */
export const stateDir = base('XDG_STATE_HOME', '.local/state')

export const configFile = (env: NodeJS.ProcessEnv) => join(configDir(env), 'config.yaml')
export const modelDir = (env: NodeJS.ProcessEnv) => join(dataDir(env), 'models')
export const logFile = (env: NodeJS.ProcessEnv) => join(stateDir(env), 'server.log')
/** Long answers and transcripts, while their server runs. */
export const spillDir = (env: NodeJS.ProcessEnv) => join(stateDir(env), 'spill')
export const joinLog = (env: NodeJS.ProcessEnv) => join(stateDir(env), 'join.log')

/** The socket and `server.json`: `$XDG_RUNTIME_DIR/llambo`, else a directory of the user's own under the temporary one. */
export function runtimeDir(env: NodeJS.ProcessEnv): string {
  const given = env.XDG_RUNTIME_DIR
  return given && isAbsolute(given) ? join(given, 'llambo') : ownTemporary()
}

/**
 * Makes a directory that only this user may enter, with what leads to it. One under a shared temporary directory may have
 * been put there by someone else, who would then read every prompt: it is refused.
 * @throws Failure naming the directory, with the remedy
 */
export function privateDir(path: string): string {
  try {
    makeDirectory(path, 0o700)
  } catch (error) {
    throw new Failure(
      exitCode.failed,
      `${path}: cannot be made (${explain(error)}); set HOME, or the XDG variables, to a directory that you can write`,
      { cause: error },
    )
  }
  try {
    checkPlace(path)
  } catch (error) {
    throw new Failure(exitCode.failed, explain(error).replace(/^permission denied: /, ''), { cause: error })
  }
  if ((lstatSync(path).mode & 0o077) !== 0)
    throw new Failure(exitCode.failed, `${path}: others may enter it; chmod 700 ${path}`)
  return path
}
