/** Where the files of llambo are: configuration, models, logs, tokens and sockets. */
import { lstatSync } from 'node:fs'
import { isAbsolute, join } from 'node:path'
import { makeDirectory } from '../fs/host-directory.js'
import { checkPlace } from '../fs/place.js'
import { home, ownTemporary } from './account.js'
import { exitCode, explain, Failure } from './exit.js'

/**
 * A directory by the XDG base directory specification: a variable that is empty or not absolute counts as unset.
 * Without a home directory, all files are in this user's own temporary directory and are lost with it.
 */
const base = (variable: string, fallback: string) => (env: NodeJS.ProcessEnv) => {
  const value = env[variable]
  return join(value && isAbsolute(value) ? value : join(home(env) ?? privateDir(ownTemporary()), fallback), 'llambo')
}

/** Holds `config.yaml` and `limbot.conf`. */
export const configDir = base('XDG_CONFIG_HOME', '.config')
/** Holds `models/`. */
export const dataDir = base('XDG_DATA_HOME', '.local/share')
/** Holds `server.log`, `join.log`, the tokens and the certificate. */
export const stateDir = base('XDG_STATE_HOME', '.local/state')

export const configFile = (env: NodeJS.ProcessEnv) => join(configDir(env), 'config.yaml')
export const modelDir = (env: NodeJS.ProcessEnv) => join(dataDir(env), 'models')
export const logFile = (env: NodeJS.ProcessEnv) => join(stateDir(env), 'server.log')
/** Holds long answers and transcripts while their server runs. */
export const spillDir = (env: NodeJS.ProcessEnv) => join(stateDir(env), 'spill')
export const joinLog = (env: NodeJS.ProcessEnv) => join(stateDir(env), 'join.log')

/**
 * Holds the sockets and `server.json`: `$XDG_RUNTIME_DIR/llambo`, else the user's own directory under the temporary
 * one.
 */
export function runtimeDir(env: NodeJS.ProcessEnv): string {
  const given = env.XDG_RUNTIME_DIR
  return given && isAbsolute(given) ? join(given, 'llambo') : ownTemporary()
}

/**
 * Makes a directory that only this user may enter, with its parents. A directory that another user put there, as is
 * possible under a shared temporary directory, is refused, because that user could read every prompt.
 * @returns the path
 * @throws Failure that names the directory and the remedy
 */
export function privateDir(path: string): string {
  try {
    makeDirectory(path, 0o700)
  } catch (error) {
    throw new Failure(
      exitCode.failed,
      `cannot create ${path} (${explain(error)}); set HOME, or the XDG variables, to a directory that you can write to`,
      { cause: error },
    )
  }
  try {
    checkPlace(path)
  } catch (error) {
    throw new Failure(exitCode.failed, explain(error).replace(/^permission denied: /, ''), { cause: error })
  }
  if ((lstatSync(path).mode & 0o077) !== 0)
    throw new Failure(exitCode.failed, `${path}: other users can enter this directory; chmod 700 ${path}`)
  return path
}
