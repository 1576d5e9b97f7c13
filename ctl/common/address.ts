import { dirname, join } from 'node:path'
import { variable } from '../../api/environment.js'
import { runtimeDir } from './paths.js'

/** Where a user's own server is reached unless something else is said. */
export const socketAddress = (env: NodeJS.ProcessEnv): string => `unix!${join(runtimeDir(env), '9p')}`

/** Where this machine's own workers and hosts join it. */
export const joinAddress = (env: NodeJS.ProcessEnv): string => `unix!${join(runtimeDir(env), 'join')}`

/** Whether an address is a socket in the user's runtime directory: one that is trusted by its place, which is checked at each dial. */
export const isOwnPlace = (address: string, env: NodeJS.ProcessEnv): boolean =>
  address.startsWith('unix!') && dirname(address.slice('unix!'.length)) === runtimeDir(env)

/** HTTP and WebSocket, unless a `ws` address is listed. */
export const HTTP_ADDRESS = 'ws://127.0.0.1:5641/9p'

/** The server that a command speaks to: `--at`, else `$LLAMBO`, else the user's own. */
export const serverAddress = (at: string | undefined, env: NodeJS.ProcessEnv): string =>
  at || variable(env, 'LLAMBO') || socketAddress(env)
