import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client, type Fid } from '../../fs/client.js'
import { listen } from '../../fs/dial.js'
import { parseRecords } from '../../fs/quote.js'
import { Tree } from '../cluster/worker/fixture.js'

/** A test as tap gives it, as far as this needs it. */
interface Test {
  teardown(fn: () => unknown): unknown
}

/** A directory of a user's own, with the environment that leads there. */
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

/** What workers join: a listener that attaches to each, and hands them out in the order of their coming. */
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
        // one that is killed on the way
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
