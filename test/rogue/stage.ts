/**
 * A cluster with one honest worker, which can be joined over a WebSocket with a token, and the means to join it with
 * bad intent.
 */
import { WebSocket } from 'ws'
import { stateDir } from '../../cli/paths.js'
import { Tokens } from '../../cli/tokens.js'
import { joinedOptions, joinedRoot } from '../../cluster/joining.js'
import { newSecret, same } from '../../cluster/secret.js'
import { parseRecords } from '../../fs/base/quote.js'
import type { File } from '../../fs/file.js'
import { type Connection, serve } from '../../fs/server/server.js'
import { webSocketTransport } from '../../fs/transport/websocket.js'
import type { Transport } from '../../fs/transport.js'
import { listenHttp } from '../../mnt/http.js'
import { memoryStore, rig } from '../cluster/orchestrator/fixture.js'
import type { Tree } from '../cluster/worker/fixture.js'
import type { Cluster } from '../faults/cluster.js'

const owner = { name: 'root', uid: 0 }

/** The cluster that is joined, as far as the ways need it. */
export interface Target {
  readonly id: string
  readonly version: string
  /** Attaches as that user; `root` is the admin. */
  as(name: string): Promise<Tree>
  status(): Promise<{ word: string; attrs: Record<string, string> }[]>
  /** Everything that it has logged. */
  log(): string
}

export interface Stage {
  readonly cluster: Target
  /** Opens a connection with the token, from a separate address, so that what one joiner does delays no other. */
  dial(address?: string): Promise<Transport>
  /** Joins with these files. */
  join(root: File, o?: { address?: string; secret?: string }): Promise<Connection>
  /** Returns an address that nobody has used. */
  address(): string
}

interface Test {
  teardown(fn: () => unknown): unknown
}

/** Starts a cluster in this process. */
export async function stage(t: Test): Promise<Stage> {
  let log = ''
  const all = await rig(t, [{ slots: 8 }], {
    store: memoryStore(),
    log: line => {
      log += `${line}\n`
    },
  })
  const { cluster } = all
  const token = newSecret()
  const listener = await listenHttp({
    host: '0.0.0.0',
    port: 0,
    authenticate: () => undefined,
    accept: transport => transport.destroy(),
    join: { verify: offered => same(offered, token), accept: transport => void cluster.join(transport) },
  })
  t.teardown(() => listener.close())
  const target = {
    id: cluster.id,
    version: '0.0.0',
    as: (name: string) => all.as(name),
    status: () => all.status(),
    log: () => log,
  }
  return against(t, target, new URL(listener.address).port, token)
}

/** Uses a server in a process of its own, which listens on this machine. */
export async function stageOf(t: Test, cluster: Cluster): Promise<Stage> {
  const token = new Tokens(stateDir(cluster.home.env)).add('join', 'root', 'joiners with bad intent')
  const { id, version } = await cluster.status()
  const target = {
    id: id!,
    version: version!,
    as: async (name: string) => (name === 'root' ? cluster.root : cluster.tree({ name, uid: 1000 })),
    status: async () => parseRecords(await cluster.root.read('status')),
    log: () => cluster.run.stderr,
  }
  return against(t, target, new URL(cluster.url).port, token)
}

function against(t: Test, cluster: Target, port: string, token: string): Stage {
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
