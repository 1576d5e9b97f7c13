import { Client, type Fid } from '../../fs/client.js'
import { deadline, systemClock } from '../../fs/clock.js'
import { dial } from '../../fs/dial.js'
import { FsError, fail } from '../../fs/errors.js'
import type { Transport } from '../../fs/transport.js'
import { account } from './account.js'
import { exitCode, Failure } from './exit.js'

/** How long a server may take until it has let us in, in ms: one that is alive takes a few, over a slow network some hundreds. */
const CONNECT_MS = 10_000

export interface Connection {
  readonly client: Client
  readonly root: Fid
  readonly address: string
}

/** The name under which our tools attach: the operating system's, or the number of a user without one. */
export function whoami(): { uname: string; n_uname?: number } {
  const { name, uid } = account()
  return uid === -1 ? { uname: name } : { uname: name, n_uname: uid }
}

/**
 * Dials a server and attaches to its root, or to the tree that `aname` is there.
 * @param options.token what it asks for where it is no unix socket
 * @param options.fingerprint of the certificate it must have; without, an authority has to vouch for it
 * @throws Failure (unreachable) that says how to start a server, or that one accepts and does not answer within 10 s, or (auth) how to get
 *   a token
 */
export async function connect(
  address: string,
  options: {
    token?: string | undefined
    /** Where a token of the user's is that was not offered, because the server is not known to be theirs. */
    withheld?: string | undefined
    fingerprint?: string | undefined
    aname?: string | undefined
    /** The address is a socket that is trusted by its place. */
    ownPlace?: boolean | undefined
    trace?: ((line: string) => void) | undefined
  } = {},
  signal?: AbortSignal,
): Promise<Connection> {
  const { token, withheld, fingerprint, aname, ownPlace, trace } = options
  const given = token === undefined ? {} : { token }
  const late = deadline(systemClock, CONNECT_MS, () => silent(`${address} accepts connections`, CONNECT_MS))
  const both = signal ? AbortSignal.any([signal, late.signal]) : late.signal
  let transport: Transport | undefined
  try {
    transport = await dial(address, { token, fingerprint, ownPlace }, both)
    const client = await Client.connect(transport, trace ? { trace } : {}, both)
    const attached = client.attach({ ...whoami(), ...given, ...(aname !== undefined && { aname }) }, both)
    // the attach itself ends only when its flush is answered, and a silent server answers none
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

/** What is said of a server that does as `what` says (with its address), and then nothing for so long. */
export function silent(what: string, ms: number): Failure {
  const remedy = /\bunix!/.test(what)
    ? '; if it stays so, stop its process and start it again with: llamboctl up -d'
    : '; it may be stopped or hang, or no llambo server listens there'
  return new Failure(exitCode.unreachable, `${what} and does not answer within ${ms / 1000} s${remedy}`)
}

/** Why the other end does not answer, with the remedy. */
function unreachable(address: string, error: unknown, withheld: string | undefined): unknown {
  if (!(error instanceof FsError)) return error
  if (error.is('authRequired')) {
    const remedy =
      withheld === undefined
        ? 'give a token in $LLAMBO_TOKEN, or in a file that $LLAMBO_TOKEN_FILE names'
        : `your own token goes to a server that llamboctl up has started here, and this is not known to be one; if you trust it: LLAMBO_TOKEN_FILE=${withheld}`
    return new Failure(
      exitCode.auth,
      `${error.message.includes(address) ? '' : `${address}: `}${error.message}; ${remedy}`,
      { cause: error },
    )
  }
  if (error.is('certificateRefused')) {
    const remedy = 'give the fingerprint of the right one in $LLAMBO_FINGERPRINT: llamboctl invite prints it there'
    return new Failure(exitCode.auth, `${error.message}; ${remedy}`, { cause: error })
  }
  const { code } = (error.cause ?? {}) as NodeJS.ErrnoException
  if (error.is('unreachable') && (code === 'ENOENT' || code === 'ECONNREFUSED')) {
    const remedy = address.startsWith('unix!') ? '; start one with: llamboctl up -d' : ''
    return new Failure(exitCode.unreachable, `no server answers at ${address}${remedy}`, { cause: error })
  }
  return error
}
