/** A shell's name space, which its commands reach over 9P. */

import { whoami } from '../cli/connect.js'
import { MAX_MSIZE } from '../fs/base/limits.js'
import { Client, type Fid } from '../fs/client/client.js'
import type { Context, User } from '../fs/file.js'
import type { Namespace } from '../fs/namespace.js'
import { type Connection, serve } from '../fs/server/server.js'
import { transportPair } from '../fs/transport/pair.js'
import type { Transport } from '../fs/transport.js'
import { NONUNAME } from '../fs/wire/protocol.js'

const { uname, n_uname = NONUNAME } = whoami()

/** The user of this shell. Everything that comes through its name space comes from this user. */
export const user: User = { name: uname, uid: n_uname, role: 'admin' }

/** The context in which the shell calls its own name space. */
export const contextFor = (signal: AbortSignal): Context => ({ user, signal })

/** How long a server may take to answer a flush, in ms: Ctrl-C must not wait for a server that hangs. */
const FLUSH_MS = 100

/** Serves a name space on a connection. Every client there acts as the shell's user. */
export function serveSpace(transport: Transport, namespace: Namespace, onerror?: (error: unknown) => void): Connection {
  return serve(transport, {
    attach: () => ({ root: namespace.root, user }),
    times: { flush: FLUSH_MS },
    ...(onerror && { onerror }),
  })
}

/** A name space and a client of it, through which commands look up their paths. */
export class Space {
  #root: Promise<Fid> | undefined

  constructor(readonly namespace: Namespace) {}

  /** The root, over 9P. */
  root(): Promise<Fid> {
    this.#root ??= this.#attach()
    return this.#root
  }

  async #attach(): Promise<Fid> {
    const [near, far] = transportPair()
    serveSpace(far, this.namespace)
    const client = await Client.connect(near, { msize: MAX_MSIZE })
    return client.attach({ uname, n_uname })
  }

  /** A copy with its own binds. */
  fork(): Space {
    return new Space(this.namespace.clone())
  }

  close(): void {
    this.#root?.then(({ client }) => client.close()).catch(() => undefined)
  }
}
