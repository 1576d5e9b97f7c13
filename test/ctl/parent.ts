/** A stand-in for the cluster that workers join, for tests of hosts and workers. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseRecords } from '../../fs/base/quote.js'
import { Client, type Fid } from '../../fs/client/client.js'
import { listen } from '../../fs/dial.js'
import { Tree } from '../cluster/worker/fixture.js'

/** The part of a tap test that is used here. */
interface Test {
  teardown(fn: () => unknown): unknown
}

/** A user's directory with its runtime directory, and the environment that names them. */
export function place(t: Test): { dir: string; env: NodeJS.ProcessEnv } {
  const dir = mkdtempSync(join(tmpdir(), 'llambo-host-'))
  for (const name of ['run', 'run/llambo']) mkdirSync(join(dir, name), { mode: 0o700 })
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  return { dir, env: { PATH: process.env.PATH, HOME: dir, XDG_RUNTIME_DIR: join(dir, 'run') } }
}

/** A worker that has joined. */
export class Joined {
  constructor(
    readonly client: Client,
    readonly root: Fid,
    readonly tree: Tree,
  ) {}

  async status(): Promise<Record<string, string>> {
    return parseRecords(await this.tree.read('status'))[0]!.attrs
  }

  async as(uname: string, options = ''): Promise<Tree> {
    return new Tree(await this.client.attach({ uname, n_uname: 1234, aname: `/${options}` }))
  }
}

/** Listens for workers, attaches to each that joins, and returns them in the order in which they came. */
export class Parent {
  #come: Joined[] = []
  #wait: ((joined: Joined) => void)[] = []
  readonly #clients = new Set<Client>()
  #close = async () => {}

  private constructor(readonly address: string) {}

  static async listen(t: Test, dir: string): Promise<Parent> {
    const parent = new Parent(`unix!${join(dir, 'run/llambo/join')}`)
    await parent.open()
    t.teardown(() => parent.close())
    return parent
  }

  async open(): Promise<void> {
    const { close } = await listen(this.address, transport => {
      void Client.connect(transport)
        .then(async client => {
          this.#clients.add(client)
          const root = await client.attach({ uname: 'root', n_uname: 0, aname: '/?role=admin' })
          const joined = new Joined(client, root, new Tree(root))
          const wait = this.#wait.shift()
          if (wait) wait(joined)
          else this.#come.push(joined)
        })
        // a worker that is killed while it joins
        .catch(() => {})
    })
    this.#close = close
  }

  next(): Promise<Joined> {
    const joined = this.#come.shift()
    return joined ? Promise.resolve(joined) : new Promise(resolve => this.#wait.push(resolve))
  }

  async close(): Promise<void> {
    await this.#close()
    for (const client of this.#clients) client.close()
    this.#clients.clear()
  }
}
