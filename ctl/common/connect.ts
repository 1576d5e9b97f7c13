import { userInfo } from 'node:os'
import { Client, type Fid } from '../../fs/client.js'
import { dial } from '../../fs/dial.js'
import { FsError } from '../../fs/errors.js'
import { exitCode, Failure } from './exit.js'

export interface Connection {
  readonly client: Client
  readonly root: Fid
  readonly address: string
}

/** The name under which our tools attach: the operating system's. Root in a container may have none. */
export function whoami(): { uname: string; n_uname?: number } {
  const { username, uid } = userInfo()
  return uid === -1 ? { uname: username } : { uname: username, n_uname: uid }
}

/**
 * Dials a server and attaches to its root, or to the tree that `aname` is there.
 * @param options.token what it asks for where it is no unix socket
 * @param options.fingerprint of the certificate it must have; without, an authority has to vouch for it
 * @throws Failure (unreachable) that says how to start a server, or (auth) how to get a token
 */
export async function connect(
  address: string,
  options: {
    token?: string | undefined
    fingerprint?: string | undefined
    aname?: string | undefined
    trace?: ((line: string) => void) | undefined
  } = {},
  signal?: AbortSignal,
): Promise<Connection> {
  const { token, fingerprint, aname, trace } = options
  const given = token === undefined ? {} : { token }
  try {
    const transport = await dial(address, { token, fingerprint }, signal)
    const client = await Client.connect(transport, trace ? { trace } : {}, signal)
    const root = await client.attach({ ...whoami(), ...given, ...(aname !== undefined && { aname }) }, signal)
    return { client, root, address }
  } catch (error) {
    throw unreachable(address, error)
  }
}

/** Why the other end does not answer, with the remedy. */
function unreachable(address: string, error: unknown): unknown {
  if (!(error instanceof FsError)) return error
  if (error.is('authRequired')) {
    const remedy = 'give a token in $LLAMBO_TOKEN, or in a file that $LLAMBO_TOKEN_FILE names'
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
