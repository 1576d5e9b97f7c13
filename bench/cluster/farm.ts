/** Runs many workers in one process, each with a connection of its own to the orchestrator. It is run as a Child. */

import { randomUUID } from 'node:crypto'
import { mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { version } from '../../cli/version.js'
import { createEchoEngine } from '../../cluster/worker/engine/echo.js'
import type { Engine, TokenChunk } from '../../cluster/worker/engine/engine.js'
import { ModelStore } from '../../cluster/worker/models.js'
import { createWorker } from '../../cluster/worker/worker.js'
import { parentsUser, self } from '../../ctl/server/users.js'
import { dial, listen } from '../../fs/dial.js'
import type { File } from '../../fs/file.js'
import { serve } from '../../fs/server/server.js'
import type { Transport } from '../../fs/transport.js'
import { answering, type Spread, spreadOf } from './child.js'
import { peer } from './peer.js'

/** Workers that are alike. */
export interface Group {
  class: string
  count: number
  slots: number
  /** Tokens a second of each answer; 0: as fast as possible. */
  rate: number
  /** `worker`: a complete worker with engine echo. `peer`: only what an orchestrator needs of a worker. */
  kind: 'worker' | 'peer'
}

export type FarmAsk =
  /**
   * Starts workers and joins them. With `serve`, the first one is also served at that address. Answers when the
   * orchestrator has attached to all of them.
   */
  | { do: 'join'; address: string; dir: string; groups: Group[]; serve?: string }
  /** Answers with what the engines produced within that time. */
  | { do: 'measure'; seconds: number }

export interface Made {
  tokens: number
  /** Time between two tokens of one answer, in ms. */
  gap: Spread
}

/** How many connections are made at once: fewer than a socket's backlog. */
const AT_ONCE = 100

const owner = self()
const machine = {
  cpu: 'avx2',
  gpu: 'none',
  gpu_mem: 0,
  cores: 2,
  memory: () => ({ total: 16 * 2 ** 30, free: 8 * 2 ** 30 }),
}
let tokens = 0
let gaps: number[] = []
let workers = 0

/** The same engine, with the time between its tokens recorded. */
function timed(engine: Engine): Engine {
  async function* generate(...args: Parameters<Engine['generate']>): AsyncGenerator<TokenChunk> {
    let last = 0
    for await (const chunk of engine.generate(...args)) {
      if (chunk.event === 'token') {
        const now = performance.now()
        if (last) gaps.push(now - last)
        last = now
        tokens++
      }
      yield chunk
    }
  }
  return { ...engine, generate }
}

async function make(group: Group, store: ModelStore): Promise<File> {
  const { slots, rate } = group
  const name = `worker-${String(++workers).padStart(4, '0')}`
  const known = { name, id: randomUUID(), version: version(), owner, slots }
  if (group.kind === 'peer') return peer({ ...known, rate })
  const worker = createWorker({
    ...known,
    boot: randomUUID().slice(0, 8),
    host: 'farm',
    class: group.class,
    machine,
    store,
    open: async () => timed(createEchoEngine({ slots, rate })),
    shutdown() {},
  })
  await worker.load('echo')
  return worker.root
}

/** Serves a worker as its process does. Resolves once somebody has attached. */
const served = (transport: Transport, root: File) =>
  new Promise<void>((resolve, reject) => {
    const session = serve(transport, {
      attachOptions: ['role'],
      attach: who => {
        resolve()
        return { root, user: parentsUser(who) }
      },
      onerror: error => process.stderr.write(`farm: ${error instanceof Error ? error.stack : error}\n`),
    })
    void session.closed.then(() => reject(new Error('the orchestrator hung up')))
  })

answering<FarmAsk>(async ask => {
  if (ask.do === 'measure') {
    gaps = []
    tokens = 0
    await new Promise(resolve => setTimeout(resolve, ask.seconds * 1000))
    return { tokens, gap: spreadOf(gaps) } satisfies Made
  }
  const store = new ModelStore(mkdtempSync(join(ask.dir, 'models-')), { owner })
  const groups = ask.groups.flatMap(group => Array.from({ length: group.count }, () => group))
  const roots: File[] = []
  for (const group of groups) roots.push(await make(group, store))
  for (let i = 0; i < roots.length; i += AT_ONCE)
    await Promise.all(roots.slice(i, i + AT_ONCE).map(async root => served(await dial(ask.address), root)))
  if (ask.serve) await listen(ask.serve, transport => void served(transport, roots[0]!).catch(() => undefined))
  return {}
})
