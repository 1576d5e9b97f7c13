/** The listeners of a server: where it accepts connections, and what it demands there. */

import { HTTP_ADDRESS, joinAddress, socketAddress } from '../../cli/address.js'
import { exitCode, explain, Failure, usage } from '../../cli/exit.js'
import { stateDir } from '../../cli/paths.js'
import type { Config } from '../../cli/settings.js'
import { listen, parseAddress } from '../../fs/dial.js'
import type { User } from '../../fs/file.js'
import { bare } from '../../fs/host-name.js'
import type { Transport } from '../../fs/transport.js'
import { checkExposure } from '../../mnt/exposure.js'
import { listenHttp } from '../../mnt/http.js'
import { certificate } from './certificate.js'

/** An address on which the server listens. */
export interface Listener {
  readonly address: string
  /** The fingerprint of its certificate, `sha256:HEX`, where it speaks TLS. */
  readonly fingerprint?: string | undefined
  close(): Promise<void>
}

/**
 * Accepts the connections of listeners. Over a unix socket the client's word for its user is trusted; elsewhere a token
 * proves the user.
 */
export interface Acceptor {
  /** Accepts a connection of a unix socket and believes the user name that the client gives. */
  acceptLocal(transport: Transport): void
  /** Accepts a connection whose client must authenticate with Tauth, unless `user` is proved already. */
  acceptWithToken(transport: Transport, user?: User): void
  /** The user that a token stands for; undefined where it stands for none. */
  verify(token: string): User | undefined
  /** Accepts a connection over which a worker, a host or another cluster serves its files. */
  acceptJoin(transport: Transport): void
  /** Whether a token lets its holder join. Joining from another machine always needs a token. */
  verifyJoin(token: string): boolean
  /** The user of every connection where no tokens are demanded (`auth: none`). */
  readonly anonymousUser: User
  /** Called with lines for a person about connections that are refused. */
  readonly note: (line: string) => void
}

/** An address to listen on. `asked`: the user asked for it, so that the server does not start without it. */
type ListenAddress = ReturnType<typeof parseAddress> & {
  readonly address: string
  readonly asked: boolean
  /** The state directory, which holds the certificate. */
  readonly state: string
}

/**
 * The addresses on which a server listens, checked before anything starts: its own socket, those of `listen`, and HTTP
 * on loopback unless `listen` has a ws address.
 * @throws Failure (usage) with the remedy, for an address that would admit strangers or expose traffic in clear
 */
export function listenAddresses(config: Config, env: NodeJS.ProcessEnv, http = true): ListenAddress[] {
  const state = stateDir(env)
  const listed = (config.listen ?? []).map(address => want(address, true, state))
  for (const item of listed) refuse(item, config)
  const extra = http && !listed.some(({ kind }) => kind === 'ws') ? [want(HTTP_ADDRESS, false, state)] : []
  return [want(socketAddress(env), true, state), ...listed, ...extra]
}

function want(address: string, asked: boolean, state: string): ListenAddress {
  try {
    return { ...parseAddress(address), address, asked, state }
  } catch (error) {
    throw usage(`--listen ${address}: ${explain(error)}`)
  }
}

/** Refuses an unsafe address. A warning is not enough, because it would be overlooked. @throws Failure (usage) */
function refuse(item: ListenAddress, config: Config): void {
  if (item.kind === 'unix') return
  const tls = item.kind === 'ws' && new URL(item.url).protocol === 'wss:'
  if (tls && !config['tls.cert'] !== !config['tls.key']) {
    const [has, lacks] = config['tls.cert'] ? ['tls.cert', 'tls.key'] : ['tls.key', 'tls.cert']
    throw usage(
      `--listen ${item.address}: ${has} is set but ${lacks} is not; set both, or neither to have a certificate made`,
    )
  }
  try {
    checkExposure(item.address, hostOf(item), { token: config.auth !== 'none', tls })
  } catch (error) {
    throw usage(explain(error))
  }
}

const hostOf = (item: Exclude<ListenAddress, { kind: 'unix' }>): string =>
  bare(item.kind === 'tcp' ? item.host : new URL(item.url).hostname)

/** Opens a listener. @throws Failure that names the address and, where there is one, the remedy */
export async function openListener(item: ListenAddress, config: Config, door: Acceptor): Promise<Listener> {
  try {
    if (item.kind === 'ws') return await openHttp(item, config, door)
    const accept = (transport: Transport) => {
      if (item.kind === 'unix') door.acceptLocal(transport)
      else door.acceptWithToken(transport, config.auth === 'none' ? door.anonymousUser : undefined)
    }
    return await listen(item.address, accept, door.note)
  } catch (error) {
    const { code } = ((error as Error).cause ?? error) as NodeJS.ErrnoException
    const busy = code === 'EADDRINUSE'
    const reason = busy ? 'another program listens there; choose another port' : explain(error)
    throw new Failure(exitCode.failed, `${item.address}: ${reason}`, { cause: error })
  }
}

async function openHttp(item: ListenAddress & { kind: 'ws' }, config: Config, door: Acceptor): Promise<Listener> {
  const url = new URL(item.url)
  const tls = url.protocol === 'wss:' ? await certificate(config, item.state) : undefined
  const listener = await listenHttp({
    host: hostOf(item),
    port: Number(url.port || (tls ? 443 : 80)),
    names: [...(config.names ?? [])],
    ...(tls && { tls }),
    authenticate: token => (config.auth === 'none' ? door.anonymousUser : door.verify(token)),
    accept: (transport, user) => door.acceptWithToken(transport, user),
    join: { verify: token => door.verifyJoin(token), accept: transport => door.acceptJoin(transport) },
    told: door.note,
  })
  return { ...listener, fingerprint: tls?.fingerprint }
}

/**
 * Opens the socket through which the workers and hosts of this machine join. Only the same user can reach it, so no
 * token is needed.
 */
export const openJoinSocket = (env: NodeJS.ProcessEnv, { acceptJoin: joins, note }: Acceptor): Promise<Listener> =>
  listen(joinAddress(env), transport => joins(transport), note)
