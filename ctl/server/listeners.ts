import { readFileSync } from 'node:fs'
import { listen, parseAddress } from '../../fs/dial.js'
import type { User } from '../../fs/file.js'
import type { Transport } from '../../fs/transport.js'
import { bare, checkExposure } from '../../mnt/exposure.js'
import { listenHttp } from '../../mnt/http.js'
import { HTTP_ADDRESS, socketAddress } from '../common/address.js'
import { exitCode, explain, Failure, usage } from '../common/exit.js'
import type { Config } from '../common/settings.js'

/** An address that is listened on. */
export interface Listener {
  readonly address: string
  close(): Promise<void>
}

/** How connections are taken: by whom a transport may claim to be (unix), and by token elsewhere. */
export interface Door {
  /** A unix socket's connection: whoever it says it is. */
  trusted(transport: Transport): void
  /** A connection that has to prove itself by Tauth, unless `user` has been proved by then. */
  guarded(transport: Transport, user?: User): void
  verify(token: string): User | undefined
  /** Without tokens (`auth: none`): who everybody is. */
  readonly anyone: User
  /** Gets what a person should know of connections that are refused. */
  readonly note: (line: string) => void
}

type Wanted = ReturnType<typeof parseAddress> & { readonly address: string; readonly asked: boolean }

/**
 * What a server listens on, checked before anything starts: its own socket, what is listed, and HTTP on loopback unless a ws
 * address is listed.
 * @throws Failure (usage) for what would let strangers in or be read on the way, with the remedy
 */
export function wanted(config: Config, env: NodeJS.ProcessEnv, http = true): Wanted[] {
  const listed = (config.listen ?? []).map(address => want(address, true))
  for (const item of listed) refuse(item, config)
  const extra = http && !listed.some(({ kind }) => kind === 'ws') ? [want(HTTP_ADDRESS, false)] : []
  return [want(socketAddress(env), true), ...listed, ...extra]
}

function want(address: string, asked: boolean): Wanted {
  try {
    return { ...parseAddress(address), address, asked }
  } catch (error) {
    throw usage(`--listen ${address}: ${explain(error)}`)
  }
}

/** reliability.md: refused, not warned about. */
function refuse(item: Wanted, config: Config): void {
  if (item.kind === 'unix') return
  const tls = item.kind === 'ws' && new URL(item.url).protocol === 'wss:'
  if (tls && !(config['tls.cert'] && config['tls.key'])) {
    throw usage(`--listen ${item.address}: wss needs a certificate: set tls.cert and tls.key in the configuration`)
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

function openHttp(item: Wanted & { kind: 'ws' }, config: Config, door: Door): Promise<Listener> {
  const url = new URL(item.url)
  const tls = url.protocol === 'wss:' ? { cert: pem(config['tls.cert']!), key: pem(config['tls.key']!) } : undefined
  return listenHttp({
    host: hostOf(item),
    port: Number(url.port || (tls ? 443 : 80)),
    names: [...(config.names ?? [])],
    ...(tls && { tls }),
    authenticate: token => (config.auth === 'none' ? door.anyone : door.verify(token)),
    accept: (transport, user) => door.guarded(transport, user),
    told: door.note,
  })
}

function pem(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw usage((error as Error).message)
  }
}
