import type { Config } from '../../ctl/common/settings.js'
import { certificate } from '../../ctl/server/certificate.js'
import { type Door, type Listener, openListener, wanted } from '../../ctl/server/listeners.js'
import { Client, type Fid } from '../../fs/client.js'
import { ORDWR } from '../../fs/protocol.js'
import { parseRecords } from '../../fs/quote.js'
import type { Transport } from '../../fs/transport.js'

/** A test as tap gives it, as far as this needs it. */
interface Test {
  teardown(fn: () => unknown): unknown
  comment(text: string): unknown
}

/** What has joined: its files, and the first record of its `status`. */
export interface Member {
  readonly client: Client
  readonly root: Fid
  readonly attrs: Readonly<Record<string, string>>
  gone: boolean
}

/** The other end of a joining: real listeners with real TLS, and a 9P client for each that comes, as an orchestrator is. */
export class Cluster {
  readonly members: Member[] = []
  address = ''
  fingerprint = ''
  /** Ends each connection at once with that, as one that speaks another version would. */
  refuse: Error | undefined
  #listener: Listener | undefined
  #transports = new Set<Transport>()
  #changed: () => void = () => undefined

  constructor(
    readonly t: Test,
    readonly state: string,
    public token = 'llb_the-token',
  ) {
    t.teardown(() => this.close())
  }

  /** @param listen where; of a port that is 0 the address has the one it was given */
  async open(listen = 'wss://127.0.0.1:0/9p'): Promise<this> {
    const config = { listen: [listen], auth: 'token' } as unknown as Config
    const door: Door = {
      trusted: () => undefined,
      guarded: () => undefined,
      verify: () => undefined,
      joins: transport => void this.#joined(transport).catch(error => this.t.comment(`a member: ${error.message}`)),
      verifyJoin: given => given === this.token,
      anyone: { name: 'nobody', uid: 1, role: 'read' },
      note: line => this.t.comment(line),
    }
    const [, item] = wanted(config, { XDG_STATE_HOME: this.state, XDG_RUNTIME_DIR: '/run' })
    this.#listener = await openListener(item!, config, door)
    this.address = this.#listener.address.replace(/9p$/, 'join')
    this.fingerprint = this.#listener.fingerprint ?? ''
    return this
  }

  get args(): string[] {
    return [this.address, '--fingerprint', this.fingerprint]
  }

  async #joined(transport: Transport): Promise<void> {
    if (this.refuse) return transport.destroy(this.refuse)
    this.#transports.add(transport)
    const client = await Client.connect(transport)
    const { onclose } = transport
    let member: Member | undefined
    transport.onclose = reason => {
      this.#transports.delete(transport)
      if (member) member.gone = true
      onclose(reason)
      this.#changed()
    }
    const root = await client.attach({ uname: 'parent', aname: '/?role=admin' })
    const [first] = parseRecords(Buffer.from(await root.readFile('status')).toString())
    member = { client, root, attrs: first!.attrs, gone: false }
    this.members.push(member)
    this.#changed()
  }

  /** Those that are there, by what they are. */
  of(kind: 'host' | 'worker'): Member[] {
    return this.members.filter(({ attrs, gone }) => attrs.kind === kind && !gone)
  }

  /** Waits until it is so, looking whenever one has come or gone. */
  async until(so: () => boolean): Promise<void> {
    while (!so())
      await new Promise<void>(resolve => {
        this.#changed = resolve
      })
  }

  /** Stops listening and hangs up. */
  async close(): Promise<void> {
    await this.#listener?.close()
    for (const transport of this.#transports) transport.destroy()
  }
}

/** An answer, from a worker's `data`. @param started called when its first bytes are there */
export async function answer({ root }: Member, prompt: string, started: () => void = () => undefined): Promise<string> {
  const fid = await root.walk(['data'])
  await fid.open(ORDWR)
  await fid.write(0, Buffer.from(prompt))
  let text = ''
  for (;;) {
    const data = await fid.read(text.length, 4096)
    if (data.length === 0) break
    if (text === '') started()
    text += Buffer.from(data).toString('latin1')
  }
  await fid.clunk()
  return text
}

/** The certificate that a cluster of that state directory shows. */
export const certificateOf = (state: string) => certificate({} as Config, `${state}/llambo`)
