import { listen, parseAddress } from '../../fs/dial.js'
import type { User } from '../../fs/file.js'
import type { Transport } from '../../fs/transport.js'
import { bare, checkExposure } from '../../mnt/exposure.js'
import { listenHttp } from '../../mnt/http.js'
import { HTTP_ADDRESS, joinAddress, socketAddress } from '../common/address.js'
import { exitCode, explain, Failure, usage } from '../common/exit.js'
import { stateDir } from '../common/paths.js'
import type { Config } from '../common/settings.js'
import { certificate } from './certificate.js'

/** An address that is listened on. */
export interface Listener {
  readonly address: string
  /** Of the certificate it shows, `sha256:HEX`, where it speaks TLS. */
  readonly fingerprint?: string | undefined
  close(): Promise<void>
}

/** How connections are taken: by whom a transport may claim to be (unix), and by token elsewhere. */
export interface Door {
  /** A unix socket's connection: whoever it says it is. */
  trusted(transport: Transport): void
  /** A connection that has to prove itself by Tauth, unless `user` has been proved by then. */
  guarded(transport: Transport, user?: User): void
  verify(token: string): User | undefined
  /** A connection over which a worker, a host or another cluster serves its files. */
  joins(transport: Transport): void
  /** Whether a token lets its holder join, which from other machines always takes one. */
  verifyJoin(token: string): boolean
  /** Without tokens (`auth: none`): who everybody is. */
  readonly anyone: User
  /** Gets what a person should know of connections that are refused. */
  readonly note: (line: string) => void
}

type Wanted = ReturnType<typeof parseAddress> & {
  readonly address: string
  readonly asked: boolean
  /** The state directory, where the certificate is. */
  readonly state: string
}

/**
 * What a server listens on, checked before anything starts: its own socket, what is listed, and HTTP on loopback unless a ws
 * address is listed.
 * @throws Failure (usage) for what would let strangers in or be read on the way, with the remedy
 */
export function wanted(config: Config, env: NodeJS.ProcessEnv, http = true): Wanted[] {
  const state = stateDir(env)
  const listed = (config.listen ?? []).map(address => want(address, true, state))
  for (const item of listed) refuse(item, config)
  const extra = http && !listed.some(({ kind }) => kind === 'ws') ? [want(HTTP_ADDRESS, false, state)] : []
  return [want(socketAddress(env), true, state), ...listed, ...extra]
}

function want(address: string, asked: boolean, state: string): Wanted {
  try {
    return { ...parseAddress(address), address, asked, state }
  } catch (error) {
    throw usage(`--listen ${address}: ${explain(error)}`)
  }
}

/** reliability.md: refused, not warned about. */
function refuse(item: Wanted, config: Config): void {
  if (item.kind === 'unix') return
  const tls = item.kind === 'ws' && new URL(item.url).protocol === 'wss:'
  if (tls && !config['tls.cert'] !== !config['tls.key']) {
    const [has, lacks] = config['tls.cert'] ? ['tls.cert', 'tls.key'] : ['tls.key', 'tls.cert']
    throw usage(`--listen ${item.address}: ${has} is set and ${lacks} is not; set both, or neither to have one made`)
  }
  try {
    checkExposure(item.address, hostOf(item), { token: config.auth !== 'none', tls })
  } catch (error) {
    throw usage(explain(error))
  }
}

const hostOf = (item: Exclude<Wanted, { kind: 'unix' }>): string =>
  bare(item.kind === 'tcp' ? item.host : new URL(item.url).hostname)

/** Opens one. @throws Failure naming the address and the remedy */
export async function openListener(item: Wanted, config: Config, door: Door): Promise<Listener> {
  try {
    if (item.kind === 'ws') return await openHttp(item, config, door)
    const accept = (transport: Transport) => {
      if (item.kind === 'unix') door.trusted(transport)
      else door.guarded(transport, config.auth === 'none' ? door.anyone : undefined)
    }
    return await listen(item.address, accept, door.note)
  } catch (error) {
    const { code } = ((error as Error).cause ?? error) as NodeJS.ErrnoException
    const busy = code === 'EADDRINUSE'
    const reason = busy ? 'another program listens there; choose another port' : explain(error)
    throw new Failure(exitCode.failed, `${item.address}: ${reason}`, { cause: error })
  }
}

async function openHttp(item: Wanted & { kind: 'ws' }, config: Config, door: Door): Promise<Listener> {
  const url = new URL(item.url)
  const tls = url.protocol === 'wss:' ? await certificate(config, item.state) : undefined
  const listener = await listenHttp({
    host: hostOf(item),
    port: Number(url.port || (tls ? 443 : 80)),
    names: [...(config.names ?? [])],
    ...(tls && { tls }),
    authenticate: token => (config.auth === 'none' ? door.anyone : door.verify(token)),
    accept: (transport, user) => door.guarded(transport, user),
    join: { verify: token => door.verifyJoin(token), accept: transport => door.joins(transport) },
    told: door.note,
  })
  return { ...listener, fingerprint: tls?.fingerprint }
}

/** Opens the socket through which this machine's own workers and hosts join: who reaches it is the same user, and trusted. */
export const openJoinSocket = (env: NodeJS.ProcessEnv, { joins, note }: Door): Promise<Listener> =>
  listen(joinAddress(env), transport => joins(transport), note)
