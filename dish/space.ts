import { whoami } from '../ctl/common/connect.js'
import { Client, type Fid } from '../fs/client.js'
import type { Context, User } from '../fs/file.js'
import { MAX_MSIZE } from '../fs/limits.js'
import type { Namespace } from '../fs/namespace.js'
import { NONUNAME } from '../fs/protocol.js'
import { type Session, serve } from '../fs/server.js'
import { transportPair } from '../fs/transport/pair.js'
import type { Transport } from '../fs/transport.js'

const { uname, n_uname = NONUNAME } = whoami()

/** Whose shell this is: all that comes through its name space comes from this user. */
export const user: User = { name: uname, uid: n_uname, role: 'admin' }

/** What the shell asks its own name space as. */
export const asking = (signal: AbortSignal): Context => ({ user, signal })

/** How long a server that is asked to give up may take, in ms: Ctrl-C is not to wait for one that hangs. */
const FLUSH_MS = 100

/** Serves a name space on a connection. Who comes that way is the shell's user. */
export function serveSpace(transport: Transport, namespace: Namespace, onerror?: (error: unknown) => void): Session {
  return serve(transport, {
    attach: () => ({ root: namespace.root, user }),
    times: { flush: FLUSH_MS },
    ...(onerror && { onerror }),
  })
}

/** A name space, and a client of it: what a command's paths are looked up in. */
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

  /** A copy, whose binds are its own. */
  fork(): Space {
    return new Space(this.namespace.clone())
  }

  close(): void {
    this.#root?.then(({ client }) => client.close()).catch(() => undefined)
  }
}
