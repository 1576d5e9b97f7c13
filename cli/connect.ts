/** Connects a command to a server, with failures that name the remedy. */

import { FsError, fail } from '../api/errors.js'
import { deadline, systemClock } from '../fs/base/clock.js'
import { Client, type Fid } from '../fs/client/client.js'
import { dial } from '../fs/dial.js'
import type { Transport } from '../fs/transport.js'
import { account } from './account.js'
import { exitCode, Failure } from './exit.js'

/** How long dialling and attaching may take, in ms. A live server takes a few, over a slow network some hundreds. */
const CONNECT_MS = 10_000

/** A connection to a server that is attached to a tree, with the root of that tree. */
export interface Connection {
  readonly client: Fid['client']
  readonly root: Fid
  readonly address: string
}

/**
 * The name under which our tools attach: the user's name in the operating system, or the number of a user without a
 * name.
 */
export function whoami(): { uname: string; n_uname?: number } {
  const { name, uid } = account()
  return uid === -1 ? { uname: name } : { uname: name, n_uname: uid }
}

/**
 * Dials a server and attaches to its root, or to the tree that `aname` names there.
 * @param options.token the token to offer; a unix socket needs none
 * @param options.fingerprint the certificate that the server must have; without it an authority has to vouch for the
 *   server
 * @throws Failure (unreachable) that says how to start a server, or that the server accepts connections and does not
 *   answer within 10 s; Failure (auth) that says how to get a token or a fingerprint
 */
export async function connect(
  address: string,
  options: {
    token?: string | undefined
    /**
     * The file of the user's own token, where it is not offered because the server is not known to be the user's own.
     */
    withheld?: string | undefined
    fingerprint?: string | undefined
    aname?: string | undefined
    /** Whether the address is a socket that is trusted because of its directory. */
    ownPlace?: boolean | undefined
    trace?: ((line: string) => void) | undefined
  } = {},
  signal?: AbortSignal,
): Promise<Connection> {
  const { token, withheld, fingerprint, aname, ownPlace, trace } = options
  const given = token === undefined ? {} : { token }
  const late = deadline(systemClock, CONNECT_MS, () => silent(address, CONNECT_MS))
  const both = signal ? AbortSignal.any([signal, late.signal]) : late.signal
  let transport: Transport | undefined
  try {
    transport = await dial(address, { token, fingerprint, ownPlace }, both)
    const client = await Client.connect(transport, trace ? { trace } : {}, both)
    const attached = client.attach({ ...whoami(), ...given, ...(aname !== undefined && { aname }) }, both)
    // an aborted attach waits for the reply to its flush, which a silent server never sends
    const root = await Promise.race([attached, aborted(both)])
    return { client, root, address }
  } catch (error) {
    transport?.destroy()
    if (late.signal.aborted && !signal?.aborted) throw late.signal.reason
    throw unreachable(address, error, withheld)
  } finally {
    late.cancel()
  }
}

/** Rejects as soon as the signal aborts. */
const aborted = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(fail('interrupted')), { once: true }))

/**
 * The failure of a server that stopped answering.
 * @param server its address, after the path that was asked for where there is one
 * @param ms how long it has been silent since
 */
export function silent(server: string, ms: number): Failure {
  const remedy = /\bunix!/.test(server)
    ? '; if this persists, end its process, then: llamboctl up -d'
    : '; it may be stopped or hung, or not a llambo server'
  return new Failure(
    exitCode.unreachable,
    `${server} accepted the connection but did not answer within ${ms / 1000} s${remedy}`,
  )
}

/** Turns an error of dialling or attaching into a Failure with the remedy; other errors stay as they are. */
function unreachable(address: string, error: unknown, withheld: string | undefined): unknown {
  if (!(error instanceof FsError)) return error
  if (error.is('authRequired')) {
    const remedy =
      withheld === undefined
        ? 'set LLAMBO_TOKEN to a token, or LLAMBO_TOKEN_FILE to a file with one'
        : `your own token is sent only to a server that llamboctl up started on this machine; if you trust this one, set LLAMBO_TOKEN_FILE=${withheld}`
    return new Failure(
      exitCode.auth,
      `${error.message.includes(address) ? '' : `${address}: `}${error.message}; ${remedy}`,
      { cause: error },
    )
  }
  if (error.is('certificateRefused')) {
    const remedy = 'set LLAMBO_FINGERPRINT to the right one, which llamboctl invite prints on the machine of the server'
    return new Failure(exitCode.auth, `${error.message}; ${remedy}`, { cause: error })
  }
  const { code } = (error.cause ?? {}) as NodeJS.ErrnoException
  if (error.is('unreachable') && (code === 'ENOENT' || code === 'ECONNREFUSED')) {
    const remedy = address.startsWith('unix!') ? '; start one with: llamboctl up -d' : ''
    return new Failure(exitCode.unreachable, `no server answers at ${address}${remedy}`, { cause: error })
  }
  return error
}
