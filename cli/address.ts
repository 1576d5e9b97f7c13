/** The addresses at which the user's server listens and commands reach it. */
import { dirname, join } from 'node:path'
import { variable } from '../api/environment.js'
import { runtimeDir } from './paths.js'

/** The address of the user's own server, which commands use by default. */
export const socketAddress = (env: NodeJS.ProcessEnv): string => `unix!${join(runtimeDir(env), '9p')}`

/** The address at which the workers and hosts of this machine join the user's own server. */
export const joinAddress = (env: NodeJS.ProcessEnv): string => `unix!${join(runtimeDir(env), 'join')}`

/**
 * Whether an address is a socket in the user's runtime directory. Such a socket is trusted because of its directory,
 * which is checked at each dial.
 */
export const isOwnPlace = (address: string, env: NodeJS.ProcessEnv): boolean =>
  address.startsWith('unix!') && dirname(address.slice('unix!'.length)) === runtimeDir(env)

/** Where the server listens for HTTP and WebSocket, unless `listen` names a `ws` address. */
export const HTTP_ADDRESS = 'ws://127.0.0.1:5641/9p'

/** The address that a command connects to: `--at`, else `$LLAMBO`, else the user's own server. */
export const serverAddress = (at: string | undefined, env: NodeJS.ProcessEnv): string =>
  at || variable(env, 'LLAMBO') || socketAddress(env)
