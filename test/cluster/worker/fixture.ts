/** A worker served in memory, and a client for tests. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createEchoEngine } from '../../../cluster/worker/engine/echo.js'
import type { Engine } from '../../../cluster/worker/engine/engine.js'
import type { EngineSettings } from '../../../cluster/worker/loader.js'
import { ModelStore } from '../../../cluster/worker/models.js'
import { createWorker } from '../../../cluster/worker/worker.js'
import { systemClock } from '../../../fs/base/clock.js'
import { Client, type Fid } from '../../../fs/client/client.js'
import type { User } from '../../../fs/file.js'
import { serve } from '../../../fs/server/server.js'
import { transportPair } from '../../../fs/transport/pair.js'
import { ORDWR } from '../../../fs/wire/protocol.js'

const decoder = new TextDecoder()

/** The part of tap's test that is used here. */
interface Test {
  teardown(fn: () => unknown): unknown
}

export interface Rig {
  /** Attaches as that user; `root` is the admin. */
  as(name: string): Promise<Tree>
  load(model: string): Promise<void>
  close(): Promise<void>
  shutdowns: number
}

/** Starts a worker with an engine, served in memory. */
export async function rig(
  t: Test,
  open: (model: string, settings: EngineSettings) => Engine | Promise<Engine> = (_m, s) => createEchoEngine(s),
  load = 'echo',
  clock = systemClock,
): Promise<Rig> {
  const models = mkdtempSync(path.join(tmpdir(), 'llambo-test-'))
  const owner = { name: 'root', uid: 0 }
  const faults: unknown[] = []
  const out: Rig = {
    shutdowns: 0,
    load: model => worker.load(model),
    close: () => worker.close(),
    async as(name) {
      const [near, far] = transportPair()
      const user: User = { name, uid: name === 'root' ? 0 : 1000, role: name === 'root' ? 'admin' : 'use' }
      const session = serve(far, {
        attach: () => ({ root: worker.root, user }),
        onerror: e => faults.push(e),
        onfail: worker.failed,
        onwrite: worker.succeeded,
      })
      const client = await Client.connect(near)
      t.teardown(async () => {
        client.close()
        await session.closed
      })
      return new Tree(await client.attach({ uname: name }))
    },
  }
  const worker = createWorker({
    name: 'worker-0001',
    version: '0.0.0',
    owner,
    store: new ModelStore(models, { owner }),
    open: async (model, settings) => open(model, settings),
    slots: 2,
    clock,
    shutdown: () => {
      out.shutdowns++
    },
  })
  t.teardown(async () => {
    await worker.close()
    rmSync(models, { recursive: true })
    if (faults.length) throw new Error('the tree threw what is no FsError', { cause: faults[0] })
  })
  if (load) await worker.load(load)
  return out
}

/** One user's view of a tree, with files read and written as a whole. */
export class Tree {
  constructor(readonly root: Fid) {}

  async read(path: string): Promise<string> {
    return decoder.decode(await this.root.readFile(path))
  }

  write(path: string, text: string | Uint8Array): Promise<void> {
    return this.root.writeFile(path, text)
  }

  async open(path: string, mode = ORDWR): Promise<Fid> {
    return (await this.root.walk(path.split('/'))).open(mode)
  }

  /** Writes to an open file and reads its answer to the end. */
  async ask(path: string, text: string): Promise<string> {
    const fid = await this.open(path)
    try {
      await fid.write(0, new TextEncoder().encode(text))
      return await readAll(fid)
    } finally {
      await fid.clunk()
    }
  }

  async events(path: string, request: object): Promise<Record<string, unknown>[]> {
    return ndjson(await this.ask(path, JSON.stringify(request)))
  }

  /** Makes a session. Its time to live starts when this returns. @returns its number */
  async session(): Promise<string> {
    const fid = await this.open('session/clone')
    const id = decoder.decode(await fid.read(0, 100)).trim()
    await fid.clunk()
    return id
  }

  async names(path: string): Promise<string[]> {
    const fid = await (await this.root.walk(path.split('/').filter(Boolean))).open(0)
    try {
      return (await fid.list()).map(stat => stat.name)
    } finally {
      await fid.clunk()
    }
  }
}

export const ndjson = (text: string): Record<string, unknown>[] =>
  text
    .split('\n')
    .filter(Boolean)
    .map(line => JSON.parse(line) as Record<string, unknown>)

export async function readAll(fid: Fid, signal?: AbortSignal): Promise<string> {
  let text = ''
  const stream = new TextDecoder()
  for (let at = 0; ; ) {
    const piece = await fid.read(at, 65536, signal)
    if (piece.length === 0) return text
    at += piece.length
    text += stream.decode(piece, { stream: true })
  }
}
