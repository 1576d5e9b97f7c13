/** A cluster with one honest worker, whose join end point is a WebSocket that asks for a token, and what joins it with bad intent. */
import { WebSocket } from 'ws'
import { joinedOptions, joinedRoot } from '../../cluster/joining.js'
import { newSecret, same } from '../../cluster/secret.js'
import type { File } from '../../fs/file.js'
import { type Session, serve } from '../../fs/server.js'
import { webSocketTransport } from '../../fs/transport/websocket.js'
import type { Transport } from '../../fs/transport.js'
import { listenHttp } from '../../mnt/http.js'
import { memoryStore, type Rig, rig } from '../cluster/orchestrator/fixture.js'

const owner = { name: 'root', uid: 0 }

export interface Stage {
  readonly cluster: Rig
  /** Everything that was logged. */
  readonly log: string[]
  /** Opens a connection with the token, from an address of its own: what one does makes no other wait. */
  dial(address?: string): Promise<Transport>
  /** Joins with these files. */
  join(root: File, o?: { address?: string; secret?: string }): Promise<Session>
  /** An address that nobody has used. */
  address(): string
}

interface Test {
  teardown(fn: () => unknown): unknown
}

export async function stage(t: Test): Promise<Stage> {
  const log: string[] = []
  const cluster = await rig(t, [{ slots: 8 }], { store: memoryStore(), log: line => log.push(line) })
  const token = newSecret()
  const listener = await listenHttp({
    host: '0.0.0.0',
    port: 0,
    authenticate: () => undefined,
    accept: transport => transport.destroy(),
    join: { verify: offered => same(offered, token), accept: transport => void cluster.cluster.join(transport) },
  })
  t.teardown(() => listener.close())
  const port = new URL(listener.address).port
  let addresses = 0
  const address = () => `127.0.${1 + (++addresses >> 7)}.${1 + (addresses & 127)}`
  const open: Transport[] = []
  t.teardown(() => {
    for (const transport of open) transport.destroy()
  })
  const dial = (from = address()) =>
    new Promise<Transport>((resolve, reject) => {
      const ws = new WebSocket(`ws://127.0.0.1:${port}/join`, '9p', {
        localAddress: from,
        headers: { authorization: `Bearer ${token}` },
      })
      ws.once('open', () => {
        const transport = webSocketTransport(ws, from)
        open.push(transport)
        resolve(transport)
      })
      ws.on('error', reject)
    })
  return {
    cluster,
    log,
    address,
    dial,
    async join(root, { address: from, secret } = {}) {
      return serve(await dial(from), {
        attachOptions: secret === undefined ? ['role'] : joinedOptions,
        attach: ({ options }) => ({
          root: joinedRoot(root, secret ?? '', owner, options),
          user: { ...owner, role: 'admin' },
        }),
      })
    },
  }
}
