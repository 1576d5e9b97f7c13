/** The shell's connections to servers. */

import { FsError, fail } from '../api/errors.js'
import { serverAddress } from '../cli/address.js'
import { exitCode, explain, Failure } from '../cli/exit.js'
import { Invocation } from '../cli/invocation.js'
import { attachesOfUsers } from '../fs/client/attaches.js'
import type { Fid } from '../fs/client/client.js'
import type { File } from '../fs/file.js'
import { remote } from '../fs/kit/remote.js'

/** How long a request to a server may take if it is not for content, in ms. */
export const QUICK_MS = 5000

/**
 * The trees of servers. Each server is dialled when its tree is first used, and again on the next use after a lost
 * connection.
 */
export class Links {
  readonly #trees = new Map<string, File>()
  readonly #clients = new Set<Fid['client']>()
  /** Addresses of lost connections: each loss is reported once. */
  readonly #lost = new Set<string>()

  /** @param told is called with a line when a connection is lost, and when it is back */
  constructor(
    readonly io: Invocation,
    readonly told: (line: string) => void,
  ) {}

  /**
   * A server's tree. Nothing is dialled before it is used.
   * @param given `LLAMBO_TOKEN` and the like, where they differ from the environment
   */
  tree(address: string, aname?: string, given: NodeJS.ProcessEnv = {}): File {
    const key = JSON.stringify([address, aname, given])
    let tree = this.#trees.get(key)
    if (!tree) {
      const attach = () => this.#attach(address, aname, { ...this.#env(address), ...given })
      this.#trees.set(key, (tree = remote({ attaches: attachesOfUsers(attach), decided: true, deadline_ms: QUICK_MS })))
    }
    return tree
  }

  /**
   * The environment for connecting to a server. Credentials in the environment are for the shell's own server, and no
   * other server gets them.
   */
  #env(address: string): NodeJS.ProcessEnv {
    const { env, globals } = this.io
    if (address === serverAddress(globals.at, env)) return env
    const { LLAMBO_TOKEN: _token, LLAMBO_TOKEN_FILE: _file, LLAMBO_FINGERPRINT: _fingerprint, ...rest } = env
    return rest
  }

  async #attach(address: string, aname: string | undefined, env: NodeJS.ProcessEnv) {
    const { at: _at, aname: _aname, ...globals } = this.io.globals
    const given = { ...globals, at: address, ...(aname !== undefined && { aname }) }
    try {
      const { client, root } = await new Invocation(given, env, this.io.signal).connect()
      this.#clients.add(client)
      if (this.#lost.delete(address)) this.told(`connected to ${address} again`)
      client.closed.then(() => {
        if (!this.#clients.delete(client)) return
        this.#lost.add(address)
        this.told(`connection to ${address} lost; the next command that needs it reconnects`)
      })
      return root
    } catch (error) {
      throw said(error)
    }
  }

  close(): void {
    const clients = [...this.#clients]
    this.#clients.clear()
    for (const client of clients) client.close()
  }
}

/** Turns a failure to connect into a file error, which keeps its kind on its way through the name space. */
function said(error: unknown): FsError {
  if (error instanceof FsError) return error
  const text = explain(error)
  if (error instanceof Failure && error.code === exitCode.auth)
    return new FsError(text.replace(/^.*?(?=authentication required|certificate refused)/, ''), 13)
  if (error instanceof Failure && error.code === exitCode.unreachable)
    return fail('unreachable', text.replace(/^no server answers at (\S+?)(;|$)/, '$1: no server answers$2'))
  return fail('io', text)
}
